// The right pane: sevDesk's invoices, what the access point received, and switches for trouble.
import { act, h, keyed, toast } from "./dom.js";
import { names } from "./mrkdwn.js";

const run = async (body) => {
  const answer = await act({ user: "U0ADMIN", ...body });
  if (answer.error) toast(answer.error);
};

export function behind(s) {
  const pane = document.getElementById("behind");
  if (!pane.firstChild) skeleton(pane);
  const d = s.sevdesk;
  document.getElementById("sevdesk-card").hidden = !d;
  document.getElementById("point-card").hidden = !s.access_point;
  if (d) sevdesk(d);
  if (s.access_point) point(s.access_point, s.sevdesk);
  switches(s.faults, s.access_point);
  calls(s.slack.calls);
}

function skeleton(pane) {
  const card = (id, title, sub, ...rest) => h("section", { class: "card", id: `${id}-card` },
    h("div", { class: "card-head" }, h("h2", {}, title), h("span", { class: "muted", id: `${id}-sub` }, sub)), rest);
  pane.append(
    card("sevdesk", "sevDesk", "",
      h("div", { class: "key-row" }, h("span", { class: "muted" }, "API token"), h("code", { id: "token" }),
        h("button", { class: "link", type: "button", id: "copy", onclick: copy }, "Copy")),
      h("div", { class: "table-box" }, h("table", { class: "grid" }, h("thead", {}, h("tr", {}, h("th", { class: "c-number" }, "Invoice"), h("th", {}, "Customer"), h("th", { class: "num c-gross" }, "Gross"), h("th", { class: "c-tags" }, "Tags"), h("th", { class: "c-menu" }))),
        h("tbody", { id: "invoices" }))),
      newInvoice()),
    card("point", "Access point", "", h("div", { id: "point-none", class: "muted quiet" }, "Nothing received yet."),
      h("div", { class: "table-box" }, h("table", { class: "grid" }, h("thead", { id: "point-head" }, h("tr", {}, h("th", { class: "c-number" }, "Invoice"), h("th", {}, "Receiver"), h("th", { class: "c-doc" }, "Document"), h("th", { class: "c-status" }, "Status"), h("th", { class: "c-xml" }))), h("tbody", { id: "taken" })))),
    card("trouble", "Make trouble", "", h("div", { class: "switches", id: "switches" })),
    h("details", { class: "card calls" }, h("summary", {}, "Slack calls made by xTool ", h("span", { class: "muted", id: "calls-sub" })), h("ol", { id: "calls" })));
}

async function copy() {
  const text = document.getElementById("token").textContent;
  try { await navigator.clipboard.writeText(text); toast("Token copied", "good"); } catch { toast(`Token: ${text}`, "info"); }
}

// --- sevDesk -----------------------------------------------------------------------------------

const money = (amount, currency) => (amount === "" ? "" : new Intl.NumberFormat(names.locale, { style: "currency", currency }).format(Number(amount)));
const TAGS = { Uploaded: "blue", "Peppol-Sent": "green", "Peppol-Failed": "red" };

function tag(name) {
  const kind = Object.keys(TAGS).find((end) => name.endsWith(`-${end}`));
  const cut = kind ? name.length - kind.length : 0;
  return h("span", { class: `chip ${TAGS[kind] || "grey"}`, title: name }, h("span", { class: "prefix" }, name.slice(0, cut)), name.slice(cut));
}

function sevdesk(d) {
  document.getElementById("sevdesk-sub").textContent = `${d.company} · ${d.requests} requests`;
  document.getElementById("token").textContent = d.token;
  keyed(document.getElementById("invoices"), d.invoices, (i) => i.id, (i, before) => invoice(i, before));
  const select = document.getElementById("new-contact");
  if (select.options.length !== d.contacts.length) select.replaceChildren(...d.contacts.map((c) => h("option", { value: c.id }, c.name)));
}

function invoice(i, before) {
  const tagged = i.contact_tags.length > 0;
  const small = [i.status_text, i.flaws.length ? "broken" : null].filter(Boolean).join(" · ");
  return h("tr", { class: `${before ? "changed" : ""} s${i.status}`, onanimationend: (e) => e.currentTarget.classList.remove("changed"), dataset: { invoice: i.number || i.id } },
    h("td", {}, h("a", { href: `/sandbox/invoice/${i.id}.xml`, target: "_blank", class: "strong" }, i.number || "Draft"), h("small", {}, new Date(`${i.day}T12:00`).toLocaleDateString(names.locale, { day: "numeric", month: "short" }))),
    h("td", {}, h("span", { class: "clip", title: i.contact }, i.contact), h("small", {}, customer(i))),
    h("td", { class: "num" }, money(i.gross, i.currency), h("small", {}, small)),
    h("td", {}, h("div", { class: "chips" }, i.tags.map(tag), i.e_invoice ? null : h("span", { class: "chip outline" }, "no e-invoice"), !i.tags.length && i.e_invoice ? h("span", { class: "muted" }, "–") : null)),
    h("td", { class: "tight" }, menu(i, tagged)));
}

function customer(i) {
  if (i.contact_tags.length) return i.contact_tags.map((t) => h("span", { class: "chip tiny teal" }, t));
  return i.parent_tags.length ? [h("span", { class: "chip tiny teal" }, i.parent_tags[0]), ` ${i.parent}`] : "not tagged";
}

function menu(i, tagged) {
  const item = (label, body, show = true) => show ? h("button", { type: "button", role: "menuitem", onclick: () => run(body) }, label) : null;
  const list = h("div", { class: "menu", hidden: true, role: "menu" },
    item("Mark as paid", { kind: "pay", invoice: i.id }, i.status === 200 || i.status === 750),
    item("Book a part payment", { kind: "pay_part", invoice: i.id }, i.status === 200),
    item("Finish the draft", { kind: "finish_draft", invoice: i.id }, i.status === 100),
    item("Remove all tags (send again)", { kind: "remove_tags", invoice: i.id }, i.tags.length > 0),
    item("Break it: no buyer reference", { kind: "spoil", invoice: i.id }, i.flaws.length === 0 && i.e_invoice),
    item("Correct it", { kind: "correct", invoice: i.id }, i.flaws.length > 0),
    item(tagged ? "Untag the customer" : "Tag the customer with xTool", { kind: "toggle_contact", contact: i.contact_id }),
    item("Delete", { kind: "delete", invoice: i.id }));
  const place = (event) => {
    event.stopPropagation();
    const open = list.hidden;
    for (const other of document.querySelectorAll(".menu")) other.hidden = true;
    list.hidden = !open;
    const box = event.currentTarget.getBoundingClientRect();
    const up = box.bottom + 220 > innerHeight;
    list.style.setProperty("right", `${innerWidth - box.right}px`);
    list.style.setProperty(up ? "bottom" : "top", `${up ? innerHeight - box.top + 4 : box.bottom + 4}px`);
  };
  return h("div", { class: "overflow fixed" }, h("button", { class: "btn icon small", type: "button", "aria-label": `Actions for ${i.number || "draft"}`, onclick: place }, "⋯"), list);
}

function newInvoice() {
  const contact = h("select", { class: "field select", id: "new-contact", "aria-label": "Customer" });
  const what = h("input", { class: "field", value: "Beratung", "aria-label": "What" });
  const price = h("input", { class: "field short", type: "number", min: "1", value: "95", "aria-label": "Price in euro" });
  return h("div", { class: "new-row" }, contact, what, price,
    h("button", { class: "btn", type: "button", id: "new-invoice", onclick: () => run({ kind: "new_invoice", contact: contact.value, what: what.value, hours: 1, price: price.value || 95 }) }, "New invoice"));
}

// --- access point ------------------------------------------------------------------------------

function point(p, d) {
  const facts = [`${p.taken.length} accepted`, `${p.refused} refused`];
  if (p.cut) facts.push(`${p.cut} without an answer`);
  document.getElementById("point-sub").replaceChildren(`${p.provider} · ${facts.join(" · ")} `,
    p.doubles ? h("span", { class: "chip red" }, `${p.doubles} sent twice`) : "");
  document.getElementById("point-none").hidden = p.taken.length > 0;
  document.getElementById("point-head").hidden = p.taken.length === 0;
  const color = { delivered: "green", failed: "red", "on its way": "blue" };
  keyed(document.getElementById("taken"), p.taken, (t) => t.index, (t) => h("tr", { dataset: { taken: t.number } },
    h("td", { class: "strong" }, t.number), h("td", {}, h("span", { class: "clip", title: t.receiver }, who(t.number, d)), h("small", {}, t.receiver)),
    h("td", {}, h("span", { class: "clip" }, t.document.split(" · ")[0]), h("small", {}, t.document.split(" · ").slice(1).join(" · "))), h("td", {}, h("span", { class: `chip ${color[t.status]}` }, t.status)),
    h("td", { class: "tight" }, h("a", { class: "link", href: `/sandbox/taken/${t.index}.xml`, target: "_blank" }, "XML"))));
}

const who = (number, d) => d?.invoices.find((i) => i.number === number)?.contact || "";

// --- trouble -----------------------------------------------------------------------------------

const LASTING = [
  ["sevdesk_down", "sevDesk is down", "503 for every request"],
  ["sevdesk_revoked", "sevDesk token revoked", "401 until switched off"],
  ["ap_down", "Access point is down", "503, nothing is taken"],
  ["slack_down", "Slack is down", "500 for every call"],
];
const ONCE = [
  ["ap_lost", "Lose its next answer", "accepted, but xTool never hears it"],
  ["ap_reset", "Cut the next request", "connection reset, not accepted"],
  ["ap_reject", "Receivers reject once", "each refuses its next invoice"],
  ["ap_register", "Café Möwe joins Peppol", "the unknown receiver gets registered"],
  ["slack_429", "Slack says 429 once", "next message has to wait 3 s"],
];

function switches(faults, point) {
  const box = document.getElementById("switches");
  const data = JSON.stringify([faults, Boolean(point)]);
  if (box._data === data) return;
  box._data = data;
  const lasting = LASTING.map(([name, label, hint]) => h("label", { class: "switch", title: hint },
    h("input", { type: "checkbox", checked: Boolean(faults[name]), dataset: { fault: name }, onchange: (e) => run({ kind: "trouble", name, on: e.target.checked }) }),
    h("span", { class: "knob bad" }), h("span", {}, label, h("small", {}, hint))));
  const once = ONCE.map(([name, label, hint]) => h("button", { class: "btn small", type: "button", title: hint, dataset: { fault: name },
    onclick: async () => { await run({ kind: "trouble", name, on: true }); toast(`${label}: ${hint}`, "info"); } }, label));
  const waiting = faults.ap_queue?.length ? h("div", { class: "muted quiet" }, `Waiting for the next sends: ${faults.ap_queue.join(", ")} `,
    h("button", { class: "link", type: "button", onclick: () => run({ kind: "trouble", name: "ap_lost", on: false }) }, "clear")) : null;
  box.replaceChildren(h("div", { class: "lasting" }, lasting), h("div", { class: "once" }, once), ...(waiting ? [waiting] : []));
}

function calls(list) {
  document.getElementById("calls-sub").textContent = list.length ? `last: ${list[list.length - 1].method}` : "none yet";
  document.getElementById("calls").replaceChildren(...list.slice().reverse().map((c) => h("li", {}, h("code", {}, c.method), h("span", { class: `chip tiny ${c.ok ? "green" : "red"}` }, c.outcome))));
}
