"""From sevDesk's XML to the document that travels: read, address, choose, convert, check.

read.py         bytes -> SourceDocument          (guard.py bounds what is parsed at all)
address.py      who it goes to, who sends it      pure
choose_type.py  as which Peppol document type     pure
convert.py      the document to send              (compare.py proves that nothing changed)
check.py        official rules, or their stand-in (rules.py: where the rules come from)
findings.py     rule id -> what a bookkeeper is told
pipeline.py     the steps in order
worker.py       runs the CPU work in a process of its own
"""
