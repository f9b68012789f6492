// Interactive elements of Block Kit. `ctx.use(element, block, option)` tells the app;
// `ctx.set(block, element, value)` keeps a value until the modal is submitted.
import { avatar, h } from "./dom.js";
import { names, plain, rich } from "./mrkdwn.js";

export function element(e, block, ctx) {
  const build = BUILD[e.type];
  return build ? build(e, block, ctx) : h("span", { class: "unsupported" }, `(${e.type})`);
}

function asked(e, go) {
  if (!e.confirm) return go();
  const c = e.confirm;
  const box = h("div", { class: "shade" });
  const answer = (yes) => () => { box.remove(); if (yes) go(); };
  box.append(h("div", { class: "dialog", role: "alertdialog", "aria-label": c.title.text },
    h("h2", {}, plain(c.title)), h("div", { class: "dialog-text" }, rich(c.text)),
    h("div", { class: "dialog-buttons" },
      h("button", { class: "btn", onclick: answer(false) }, plain(c.deny)),
      h("button", { class: `btn ${c.style === "danger" ? "danger" : "primary"}`, onclick: answer(true), dataset: { testid: "confirm" } }, plain(c.confirm)))));
  document.body.append(box);
  box.querySelector(".btn:last-child").focus();
}

async function busy(node, work) {
  node.classList.add("busy");
  node.setAttribute("aria-busy", "true");
  try { await work; } finally { node.classList.remove("busy"); node.removeAttribute("aria-busy"); }
}

function button(e, block, ctx) {
  const node = h("button", {
    class: `btn ${e.style || ""}`, type: "button", title: e.accessibility_label,
    dataset: { action: e.action_id, value: e.value || "" },
    onclick: () => asked(e, () => {
      if (e.url) window.open(e.url, "_blank", "noreferrer,noopener");
      busy(node, ctx.use(e, block));
    }),
  }, plain(e.text), e.url ? h("span", { class: "out", "aria-hidden": "true" }, "↗") : null);
  return node;
}

function overflow(e, block, ctx) {
  const menu = h("div", { class: "menu", hidden: true, role: "menu" });
  const node = h("div", { class: "overflow" },
    h("button", { class: "btn icon", type: "button", "aria-label": "More", dataset: { action: e.action_id },
      onclick: (event) => { event.stopPropagation(); menu.hidden = !menu.hidden; } }, "⋯"), menu);
  for (const o of e.options) {
    menu.append(h("button", { type: "button", role: "menuitem", dataset: { value: o.value },
      onclick: () => { menu.hidden = true; asked(e, () => busy(node, ctx.use(e, block, o.value))); } },
      plain(o.text), o.description ? h("small", {}, plain(o.description)) : null));
  }
  return node;
}

const chosen = (e, ctx, block) => ctx.value(block, e);

function changed(e, block, ctx, value) {
  ctx.set(block, e, value);
  if (block.type !== "input" || block.dispatch_action) asked(e, () => ctx.use(e, block, value));
}

function optionNodes(e) {
  const one = (o) => h("option", { value: o.value }, plain(o.text));
  if (e.option_groups) return e.option_groups.map((g) => h("optgroup", { label: g.label.text }, g.options.map(one)));
  return e.options.map(one);
}

function select(e, block, ctx, nodes) {
  const now = chosen(e, ctx, block) || "";
  const node = h("select", { class: "field select", dataset: { action: e.action_id }, "aria-label": e.placeholder?.text || "Select",
    onchange: (event) => changed(e, block, ctx, event.target.value || null) },
    h("option", { value: "" }, e.placeholder ? plain(e.placeholder) : "Choose an option"), nodes);
  node.value = now;
  return node;
}

const people = () => [...names.users.values()].filter((u) => u.kind !== "bot" && u.kind !== "external");
const userOptions = () => people().map((u) => h("option", { value: u.id }, u.real_name));
const channelOptions = () => [...names.channels.values()].filter((c) => !c.archived)
  .map((c) => h("option", { value: c.id }, `${c.kind === "private" ? "🔒 " : "# "}${c.name}`));

function many(e, block, ctx, all) {
  let now = [...(chosen(e, ctx, block) || [])];
  const node = h("div", { class: "field many", dataset: { action: e.action_id } });
  const draw = () => {
    const add = h("select", { "aria-label": e.placeholder?.text || "Add", onchange: (ev) => { now.push(ev.target.value); keep(); } },
      h("option", { value: "" }, now.length ? "Add…" : e.placeholder ? plain(e.placeholder) : "Add…"),
      all.filter((o) => !now.includes(o.value)).map((o) => h("option", { value: o.value }, o.label)));
    node.replaceChildren(...now.map((value) => {
      const o = all.find((x) => x.value === value) || { label: value };
      return h("span", { class: "token" }, o.icon || null, o.label,
        h("button", { type: "button", "aria-label": `Remove ${o.label}`, onclick: () => { now = now.filter((v) => v !== value); keep(); } }, "×"));
    }), add);
  };
  const keep = () => { changed(e, block, ctx, [...now]); draw(); };
  draw();
  return node;
}

const manyUsers = (e, b, ctx) => many(e, b, ctx, people().map((u) => ({ value: u.id, label: u.real_name, icon: avatar(u, 18) })));
const manyChannels = (e, b, ctx) => many(e, b, ctx, [...names.channels.values()].map((c) => ({ value: c.id, label: `#${c.name}` })));
const manyOptions = (e, b, ctx) => many(e, b, ctx, e.options.map((o) => ({ value: o.value, label: o.text.text })));

function ticks(e, block, ctx, type) {
  const now = chosen(e, ctx, block);
  const group = `${block.block_id}-${e.action_id}-${ctx.id}`;
  const node = h("div", { class: "ticks", role: type === "radio" ? "radiogroup" : "group", dataset: { action: e.action_id } });
  const read = () => {
    const on = [...node.querySelectorAll("input:checked")].map((i) => i.value);
    changed(e, block, ctx, type === "radio" ? on[0] || null : on);
  };
  for (const o of e.options) {
    const on = type === "radio" ? now === o.value : (now || []).includes(o.value);
    node.append(h("label", {}, h("input", { type, name: group, value: o.value, checked: on, onchange: read }),
      h("span", {}, rich(o.text), o.description ? h("small", {}, rich(o.description)) : null)));
  }
  return node;
}

function textInput(e, block, ctx, type = "text") {
  const props = {
    class: "field", placeholder: e.placeholder ? plain(e.placeholder) : "", maxLength: e.max_length || 3000,
    value: chosen(e, ctx, block) || "", dataset: { action: e.action_id }, autocomplete: "off", spellcheck: false,
    oninput: (event) => ctx.set(block, e, event.target.value),
    onkeydown: (event) => { if (event.key === "Enter" && !e.multiline && ctx.enter) { event.preventDefault(); ctx.enter(); } },
  };
  return e.multiline ? h("textarea", { ...props, rows: 4 }) : h("input", { ...props, type });
}

function picker(e, block, ctx, type) {
  return h("input", { class: "field picker", type, value: chosen(e, ctx, block) || "", dataset: { action: e.action_id },
    onchange: (event) => changed(e, block, ctx, event.target.value || null) });
}

const BUILD = {
  button, overflow,
  workflow_button: button,
  static_select: (e, b, c) => select(e, b, c, optionNodes(e)),
  users_select: (e, b, c) => select(e, b, c, userOptions()),
  conversations_select: (e, b, c) => select(e, b, c, channelOptions()),
  channels_select: (e, b, c) => select(e, b, c, channelOptions()),
  multi_users_select: manyUsers,
  multi_conversations_select: manyChannels,
  multi_channels_select: manyChannels,
  multi_static_select: manyOptions,
  checkboxes: (e, b, c) => ticks(e, b, c, "checkbox"),
  radio_buttons: (e, b, c) => ticks(e, b, c, "radio"),
  plain_text_input: textInput,
  email_text_input: (e, b, c) => textInput(e, b, c, "email"),
  url_text_input: (e, b, c) => textInput(e, b, c, "url"),
  number_input: (e, b, c) => textInput(e, b, c, "number"),
  datepicker: (e, b, c) => picker(e, b, c, "date"),
  timepicker: (e, b, c) => picker(e, b, c, "time"),
};
