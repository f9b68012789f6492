// Wires the page together: a stream of states in, acts out. The hash holds what is shown, so that
// a screenshot can be addressed: #user=U0GUEST&channel=C0INVOICES&tab=home&thread=…&reader=1
import { toast } from "./dom.js";
import { behind } from "./behind.js";
import { modal } from "./modal.js";
import { names } from "./mrkdwn.js";
import { KIND, frame, messages, send, sidebar, thread, view } from "./slack.js";

let stream = null;
let last = null;
let shownFrame = "";
const opened = Date.now() / 1000;
let noticed = opened;

function readHash() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const key of ["user", "channel", "tab", "thread"]) if (wanted.get(key)) view[key] = wanted.get(key);
  view.reader = wanted.get("reader") === "1";
  document.getElementById("reader").checked = view.reader;
}

function writeHash() {
  const now = new URLSearchParams({ user: view.user, channel: view.channel, tab: view.tab });
  if (view.thread) now.set("thread", view.thread);
  if (view.reader) now.set("reader", "1");
  history.replaceState(null, "", `#${now}`);
}

function go(channel, tab) {
  view.thread = null;
  view.channel = channel;
  view.tab = tab || (channel === last.slack.direct && !last.slack.messages.some((m) => m.channel === channel) ? "home" : "messages");
  if (channel === last.slack.direct && view.tab === "home") send({ kind: "home" });
  writeHash();
  draw();
}

function draw() {
  const s = last.slack;
  names.users = new Map(s.users.map((u) => [u.id, u]));
  names.channels = new Map(s.channels.map((c) => [c.id, c]));
  names.locale = names.users.get(s.me)?.locale || "en-US";
  if (![...names.channels.keys(), s.direct].includes(view.channel)) view.channel = s.channels[0]?.id || s.direct;
  people(s);
  sidebar(s, go);
  const wanted = JSON.stringify([s.me, view.channel, view.tab, s.channels]);
  if (wanted !== shownFrame) { frame({ ...s, commands: last.commands }, go); shownFrame = wanted; }
  messages(s, openThread);
  thread(s, closeThread);
  modal(s);
  behind(last);
  for (const n of s.notices) if (n.at > noticed) toast(n.text);
  noticed = Math.max(noticed, ...s.notices.map((n) => n.at));
  document.body.dataset.ready = "1";
}

function openThread(ts) { view.thread = ts; document.getElementById("thread").replaceChildren(); writeHash(); draw(); }
function closeThread() { view.thread = null; writeHash(); draw(); }

function people(s) {
  const select = document.getElementById("user");
  if (select.options.length) { select.value = view.user; return; }
  for (const u of s.users.filter((x) => x.kind !== "bot")) select.add(new Option(`${u.real_name} – ${KIND[u.kind]}`, u.id));
  select.value = view.user;
}

function connect() {
  stream?.close();
  stream = new EventSource(`/sandbox/stream?user=${encodeURIComponent(view.user)}`);
  stream.onmessage = (event) => { last = JSON.parse(event.data); draw(); };
}

document.getElementById("user").addEventListener("change", (event) => {
  view.user = event.target.value;
  view.thread = null;
  noticed = Date.now() / 1000;
  shownFrame = "";
  writeHash();
  connect();
});
document.getElementById("reader").addEventListener("change", (event) => { view.reader = event.target.checked; writeHash(); draw(); });
document.addEventListener("click", () => { for (const menu of document.querySelectorAll(".menu")) menu.hidden = true; });
addEventListener("hashchange", () => { readHash(); shownFrame = ""; connect(); });

readHash();
connect();
