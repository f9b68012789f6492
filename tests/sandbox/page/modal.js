// The modal on top of a person's stack. What is typed stays here until it is submitted.
import { act, h } from "./dom.js";
import { blocks } from "./blocks.js";
import { plain } from "./mrkdwn.js";
import { initial, plainValue, send, view as window_ } from "./slack.js";

const drafts = new Map();
let shown = "";

function draft(id) {
  if (!drafts.has(id)) drafts.set(id, {});
  return drafts.get(id);
}

export function modal(s) {
  const overlay = document.getElementById("overlay");
  const stack = s.modals;
  const top = stack[stack.length - 1];
  const data = top ? JSON.stringify([top.id, top.hash, top.errors, top.trouble, top.busy, stack.length]) : "";
  if (data === shown) return;
  shown = data;
  const typed = document.activeElement?.dataset?.action;
  overlay.replaceChildren(top ? build(top, stack.length) : "");
  const again = typed && overlay.querySelector(`[data-action="${CSS.escape(typed)}"]`);
  (again || overlay.querySelector(".modal-body :is(input, textarea, select, button)"))?.focus();
}

function build(v, depth) {
  const c = v.content;
  const local = {};
  const submit = () => finish(v, local);
  const close = () => act({ kind: "close", user: window_.user, view: v.id });
  forget(v);
  const ctx = context(v, submit);
  ctx.errors = { ...v.errors };
  const submitButton = c.submit ? h("button", { class: "btn primary", type: "button", id: "submit", disabled: v.busy, onclick: submit }, v.busy ? "…" : plain(c.submit)) : null;
  const box = h("div", { class: `modal ${v.busy ? "busy" : ""}`, role: "dialog", "aria-modal": "true", "aria-label": c.title.text, dataset: { view: v.id, callback: c.callback_id || "" } },
    h("div", { class: "modal-head" }, h("img", { src: "/page/icon.svg", width: 28, height: 28, alt: "" }), h("h2", {}, plain(c.title)),
      depth > 1 ? h("span", { class: "pill" }, `step ${depth}`) : null,
      h("button", { class: "x", type: "button", "aria-label": "Close", onclick: close }, "×")),
    h("div", { class: "modal-body" }, v.trouble ? h("div", { class: "block alert error", role: "alert" }, h("span", {}, "⛔"), h("div", {}, v.trouble)) : null, blocks(c.blocks, ctx)),
    h("div", { class: "modal-foot" }, h("button", { class: "btn", type: "button", id: "cancel", onclick: close }, c.close ? plain(c.close) : "Cancel"), submitButton));
  local.box = box;
  return h("div", { class: "shade", onkeydown: (e) => { if (e.key === "Escape") close(); } }, box);
}

// As in Slack: what was typed into a field is gone once a view without the field was shown.
function forget(v) {
  const mine = draft(v.id);
  const held = (b) => [b.element, b.accessory, ...(b.elements || [])].filter((e) => e?.action_id).map((e) => `${b.block_id}\n${e.action_id}`);
  const shownFields = new Set(v.content.blocks.flatMap(held));
  for (const key of Object.keys(mine)) if (!shownFields.has(key)) delete mine[key];
}

function context(v, submit) {
  const mine = draft(v.id);
  return {
    id: v.id,
    enter: submit,
    value: (b, e) => {
      const key = `${b.block_id}\n${e.action_id}`;
      return key in mine ? mine[key] : plainValue(v.values?.[b.block_id]?.[e.action_id]) ?? initial(e);
    },
    set: (b, e, value) => { mine[`${b.block_id}\n${e.action_id}`] = value; },
    use: (e, b, option) => send({ kind: "click", container: { kind: "view", id: v.id }, action_id: e.action_id, block_id: b.block_id, value: e.value, option }),
  };
}

async function finish(v, local) {
  const values = {};
  const mine = draft(v.id);
  for (const b of v.content.blocks) {
    if (b.type !== "input") continue;
    const key = `${b.block_id}\n${b.element.action_id}`;
    if (key in mine) values[b.block_id] = mine[key];
  }
  // From here on the view itself holds what was typed, and forgets it when the field goes: two
  // updates may arrive as one, and the view between them is never drawn here.
  const typed = { ...mine };
  for (const key of Object.keys(mine)) delete mine[key];
  const answer = await act({ kind: "submit", user: window_.user, view: v.id, values });
  if (!answer.fields) return;
  Object.assign(mine, typed);
  showProblems(local.box, answer.fields);
}

// What Slack's own client refuses: required fields, lengths.
function showProblems(box, fields) {
  for (const node of box.querySelectorAll(".error.local")) node.remove();
  for (const [block, text] of Object.entries(fields)) {
    const node = box.querySelector(`[data-block="${CSS.escape(block)}"]`);
    node?.classList.add("wrong");
    node?.append(h("div", { class: "error local", role: "alert" }, text));
  }
}
