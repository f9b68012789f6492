// The Slack window: channel list, messages, composer, threads, Home tab.
import { act, avatar, h, keyed, toast } from "./dom.js";
import { blocks } from "./blocks.js";
import { mrkdwn, names, spoken } from "./mrkdwn.js";

export const view = { user: "U0ADMIN", channel: "C0INVOICES", tab: "messages", thread: null, reader: false, seen: {} };

// A value as `state.values` holds it, in the plain form that the driver takes.
export function plainValue(state) {
  if (!state) return null;
  const key = Object.keys(state).find((k) => k !== "type");
  const value = state[key];
  if (Array.isArray(value)) return value.map((v) => (v && v.value) || v);
  return value && typeof value === "object" ? value.value : value;
}

export async function send(body, what = "This app did not respond.") {
  const answer = await act({ user: view.user, ...body });
  if (!answer.ok && answer.error && !["operation_timeout", "dispatch_failed"].includes(answer.error)) toast(`${what} (${answer.error})`);
  return answer;
}

function messageContext(message) {
  const container = { kind: "message", channel: message.channel, ts: message.ts };
  return {
    id: message.ts,
    value: (block, e) => plainValue(message.state?.[block.block_id]?.[e.action_id]) ?? initial(e),
    set: () => {},
    use: (e, block, option) => send({ kind: "click", container, action_id: e.action_id, block_id: block.block_id, value: e.value, option }),
  };
}

export function initial(e) {
  if (e.initial_option) return e.initial_option.value;
  if (e.initial_options) return e.initial_options.map((o) => o.value);
  return e.initial_user ?? e.initial_users ?? e.initial_conversation ?? e.initial_conversations ?? e.initial_channel
    ?? e.initial_channels ?? e.initial_date ?? e.initial_time ?? e.initial_value ?? null;
}

// --- sidebar -----------------------------------------------------------------------------------

export function sidebar(s, go) {
  const counts = unread(s);
  const channel = (c) => row(c.id, [h("span", { class: "hash" }, c.kind === "private" ? "🔒" : "#"), c.name,
    c.shared ? h("span", { class: "mark", title: "Shared with another company" }, "⧉") : null], counts[c.id], view.channel === c.id, c.archived, go);
  const app = row(s.direct, [h("img", { src: "/page/icon.svg", width: 18, height: 18, alt: "" }), "xTool"], counts[s.direct], view.channel === s.direct, false, go);
  document.getElementById("sidebar").replaceChildren(
    h("div", { class: "team" }, h("span", { class: "team-icon" }, s.team[0]), s.team),
    h("div", { class: "group" }, "Channels"), h("ul", {}, s.channels.map(channel)),
    h("div", { class: "group" }, "Apps"), h("ul", {}, app),
    h("div", { class: "me" }, avatar(names.users.get(s.me), 32), h("div", {}, h("b", {}, names.users.get(s.me).real_name), h("small", {}, KIND[names.users.get(s.me).kind]))));
}

export const KIND = { admin: "workspace admin", member: "full member", guest: "guest", external: "from another company" };

function row(id, label, count, active, archived, go) {
  return h("li", {}, h("button", { type: "button", class: `chan ${active ? "active" : ""} ${count ? "unread" : ""} ${archived ? "archived" : ""}`,
    "aria-current": active ? "page" : null, dataset: { channel: id }, onclick: () => go(id) },
  h("span", { class: "chan-label" }, label), count ? h("span", { class: "badge" }, count) : null));
}

function unread(s) {
  const counts = {};
  for (const m of s.messages) if (m.ts > (view.seen[m.channel] || "") && m.channel !== view.channel) counts[m.channel] = (counts[m.channel] || 0) + 1;
  return counts;
}

// --- main window -------------------------------------------------------------------------------

export function frame(s, go) {
  const channel = s.channels.find((c) => c.id === view.channel);
  const direct = view.channel === s.direct;
  const title = direct ? [h("img", { src: "/page/icon.svg", width: 22, height: 22, alt: "" }), "xTool", h("span", { class: "app-badge" }, "APP")]
    : [h("span", { class: "hash" }, channel?.kind === "private" ? "🔒" : "#"), channel?.name || "?"];
  const about = direct ? null : [
    h("span", { class: "pill" }, `👥 ${channel?.members}`),
    h("span", { class: "pill" }, channel?.has_app ? "xTool is here" : "xTool is not in this channel")];
  const tab = (id, label) => h("button", { type: "button", class: `tab ${view.tab === id ? "active" : ""}`, dataset: { tab: id }, onclick: () => go(view.channel, id) }, label);
  const parts = [
    h("div", { class: "head" }, h("h1", {}, title), h("div", { class: "about" }, about)),
    direct && h("div", { class: "tabs" }, tab("home", "Home"), tab("messages", "Messages")),
    h("div", { class: "scroll", id: "scroll" }, h("div", { class: "stream", id: "stream" })),
    !direct && composer(s, channel)];
  document.getElementById("window").replaceChildren(...parts.filter(Boolean));
}

function composer(s, channel) {
  if (channel?.archived) return h("div", { class: "composer closed" }, "This channel is archived: nobody can write here.");
  const hint = h("div", { class: "hints", id: "hints", hidden: true });
  const input = h("input", { id: "command", class: "command", placeholder: `Type /sevdesk … in #${channel?.name}`, autocomplete: "off", spellcheck: false, "aria-label": "Message or command" });
  const run = async () => {
    const text = input.value.trim();
    if (!text) return;
    if (!text.startsWith("/sevdesk")) return toast("This stand-in knows one command: /sevdesk", "info");
    input.value = "";
    hint.hidden = true;
    await send({ kind: "command", text, channel: view.channel }, "The command failed.");
  };
  const suggest = () => {
    const text = input.value;
    const options = text.startsWith("/") ? Object.entries(s.commands).filter(([name]) => `/sevdesk ${name}`.startsWith(text.trimEnd()) || "/sevdesk".startsWith(text)) : [];
    hint.hidden = options.length === 0 || options.some(([name]) => text === `/sevdesk ${name}`);
    hint.replaceChildren(...options.map(([name, what]) => h("button", { type: "button", onclick: () => { input.value = `/sevdesk ${name}`; hint.hidden = true; input.focus(); } },
      h("b", {}, `/sevdesk ${name}`), h("span", {}, what))));
  };
  input.addEventListener("input", suggest);
  input.addEventListener("focus", suggest);
  input.addEventListener("blur", () => setTimeout(() => { hint.hidden = true; }, 150));
  input.addEventListener("keydown", (e) => {
    if (e.key === "Enter") run();
    if (e.key === "Escape") hint.hidden = true;
    if (e.key === "Tab" && !hint.hidden) { e.preventDefault(); hint.firstChild.click(); }
  });
  return h("div", { class: "composer" }, hint, h("div", { class: "composer-row" }, input,
    h("button", { type: "button", class: "send", id: "send", "aria-label": "Send", onclick: run }, "➤")));
}

// --- messages ----------------------------------------------------------------------------------

export function messages(s, openThread) {
  const stream = document.getElementById("stream");
  const scroll = document.getElementById("scroll");
  if (view.channel === s.direct && view.tab === "home") return home(s, stream);
  const mine = s.messages.filter((m) => m.channel === view.channel);
  const top = mine.filter((m) => !m.thread_ts || m.thread_ts === m.ts || m.ephemeral);
  const low = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  const items = top.map((m) => ({ ...m, replies: mine.filter((r) => r.thread_ts === m.ts && r.ts !== m.ts).length, reader: view.reader }));
  if (!items.length) return stream.replaceChildren(empty(s)), (stream._kept = null);
  keyed(stream, items, (m) => m.ts, (m, before) => {
    const node = message(m, openThread);
    const said = JSON.stringify([m.text, m.blocks]);
    node._said = said;
    if (before && before._said !== said) { node.classList.add("updated"); node.addEventListener("animationend", () => node.classList.remove("updated")); }
    return node;
  });
  if (mine.length) view.seen[view.channel] = mine[mine.length - 1].ts;
  if (low) scroll.scrollTop = scroll.scrollHeight;
}

function empty(s) {
  const direct = view.channel === s.direct;
  return h("div", { class: "empty" }, h("div", { class: "empty-mark" }, direct ? "✉" : "#"),
    h("b", {}, direct ? "xTool has not written to you yet" : "Nothing here yet"),
    h("p", {}, direct ? "It writes here when it needs you." : ["Type ", h("code", {}, "/sevdesk connect"), " below. The API token is on the right."]));
}

export function message(m, openThread) {
  const user = names.users.get(m.user);
  const when = new Date(Number(m.ts) * 1000);
  const node = h("article", { class: `message ${m.ephemeral ? "ephemeral" : ""}`, dataset: { ts: m.ts } },
    h("div", { class: "gutter" }, avatar(user)),
    h("div", { class: "content" },
      m.ephemeral ? h("div", { class: "only-you" }, "👁 Only visible to you") : null,
      h("div", { class: "meta" }, h("b", {}, user?.real_name || m.user), m.by_app ? h("span", { class: "app-badge" }, "APP") : null,
        h("time", { title: when.toLocaleString() }, when.toLocaleTimeString(names.locale, { hour: "2-digit", minute: "2-digit" }))),
      m.reader ? reader(m) : body(m),
      m.files.map(file),
      m.replies ? h("button", { type: "button", class: "replies", dataset: { thread: m.ts }, onclick: () => openThread(m.ts) },
        `${m.replies} ${m.replies === 1 ? "reply" : "replies"}`, h("span", {}, "View thread ›")) : null));
  return node;
}

function body(m) {
  const inner = m.blocks.length ? blocks(m.blocks, messageContext(m)) : [h("div", { class: "block section-text" }, mrkdwn(m.text))];
  return h("div", { class: "body" }, inner, m.edited && !m.blocks.length ? h("span", { class: "edited" }, " (edited)") : null);
}

function reader(m) {
  return h("div", { class: "reader" }, h("span", { class: "reader-tag" }, "read aloud"), m.text ? spoken(m.text) : h("em", {}, "This content can't be displayed."));
}

function file(f) {
  return h("a", { class: "file", href: `/sandbox/file/${f.id}`, download: f.name }, h("span", { class: "file-icon" }, (f.name.split(".").pop() || "file").slice(0, 4)),
    h("span", {}, h("b", {}, f.title || f.name), h("small", {}, `${f.name} · ${size(f.size)}`)));
}

const size = (n) => (n < 1024 ? `${n} bytes` : `${(n / 1024).toFixed(1)} kB`);

function home(s, stream) {
  stream._kept = null;
  if (!s.home) return stream.replaceChildren(h("div", { class: "empty" }, h("b", {}, "Home is empty"), h("p", {}, "The app has not published it.")));
  const data = JSON.stringify([s.home.hash, view.reader]);
  if (stream._home === data && stream.querySelector(".home")) return;
  stream._home = data;
  const v = s.home;
  const ctx = {
    id: v.id,
    value: (b, e) => plainValue(v.values?.[b.block_id]?.[e.action_id]) ?? initial(e),
    set: () => {},
    use: (e, b, option) => send({ kind: "click", container: { kind: "view", id: v.id }, action_id: e.action_id, block_id: b.block_id, value: e.value, option }),
  };
  stream.replaceChildren(h("div", { class: "home" }, blocks(v.content.blocks, ctx)));
}

// --- thread ------------------------------------------------------------------------------------

export function thread(s, close) {
  const pane = document.getElementById("thread");
  const root = view.thread && s.messages.find((m) => m.ts === view.thread && m.channel === view.channel);
  pane.hidden = !root;
  document.getElementById("columns").classList.toggle("with-thread", Boolean(root));
  if (!root) return;
  if (!pane.firstChild) {
    pane.append(h("div", { class: "head" }, h("h1", {}, "Thread"), h("button", { class: "x", type: "button", "aria-label": "Close thread", onclick: close }, "×")),
      h("div", { class: "scroll" }, h("div", { class: "stream" })));
  }
  const replies = s.messages.filter((m) => m.thread_ts === root.ts && m.ts !== root.ts && m.channel === root.channel);
  keyed(pane.querySelector(".stream"), [root, ...replies].map((m) => ({ ...m, reader: view.reader })), (m) => m.ts, (m) => message(m, () => {}));
}
