"""The Peppol network: who can be reached, what they take, and the access points that carry it."""
