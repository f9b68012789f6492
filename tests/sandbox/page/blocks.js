// Block Kit blocks to nodes, on any surface.
import { h } from "./dom.js";
import { element } from "./elements.js";
import { mrkdwn, names, plain, rich } from "./mrkdwn.js";

export function blocks(list, ctx) {
  return list.map((b) => {
    const build = BUILD[b.type];
    const node = build ? build(b, ctx) : h("div", { class: "unsupported" }, `This block cannot be shown here: ${b.type}`);
    node.dataset.block = b.block_id;
    return node;
  });
}

function section(b, ctx) {
  const body = h("div", { class: "section-body" }, b.text ? h("div", { class: "section-text" }, rich(b.text)) : null);
  if (b.fields) body.append(h("div", { class: "fields" }, b.fields.map((f) => h("div", { class: "fieldcell" }, rich(f)))));
  const node = h("div", { class: "block section" }, body);
  if (b.accessory) node.append(h("div", { class: "accessory" }, b.accessory.type === "image" ? picture(b.accessory) : element(b.accessory, b, ctx)));
  return node;
}

// External pictures are not loaded: the sandbox talks to nobody. The alt text stands for them.
function picture(i, big = false) {
  return h("span", { class: big ? "picture big" : "picture", role: "img", "aria-label": i.alt_text }, big ? `🖼 ${i.alt_text}` : "🖼");
}

function context(b) {
  return h("div", { class: "block context" }, b.elements.map((e) =>
    e.type === "image" ? picture(e) : h("span", { class: "context-part" }, rich(e))));
}

function actions(b, ctx) {
  return h("div", { class: "block actions" }, b.elements.map((e) => element(e, b, ctx)));
}

function input(b, ctx) {
  const error = ctx.errors?.[b.block_id];
  return h("div", { class: `block input ${error ? "wrong" : ""}` },
    h("div", { class: "label" }, plain(b.label), b.optional ? h("span", { class: "optional" }, " (optional)") : null),
    element(b.element, b, ctx),
    error ? h("div", { class: "error", role: "alert" }, error) : null,
    b.hint ? h("div", { class: "hint" }, plain(b.hint)) : null);
}

const ALERTS = { info: "ℹ️", default: "ℹ️", warning: "⚠️", error: "⛔", success: "✅" };

function alert(b) {
  const level = b.level || "info";
  return h("div", { class: `block alert ${level}`, role: level === "error" ? "alert" : "note" },
    h("span", { class: "alert-icon", "aria-hidden": "true" }, ALERTS[level]), h("div", {}, rich(b.text)));
}

function image(b) {
  return h("figure", { class: "block image" }, b.title ? h("figcaption", {}, plain(b.title)) : null, picture(b, true));
}

function richText(b) {
  return h("div", { class: "block rich" }, b.elements.map(richPart));
}

function richPart(e) {
  if (e.type === "rich_text_list") return h(e.style === "ordered" ? "ol" : "ul", {}, e.elements.map((i) => h("li", {}, i.elements.map(richLeaf))));
  const tag = { rich_text_quote: "blockquote", rich_text_preformatted: "pre" }[e.type] || "div";
  return h(tag, { class: tag === "pre" ? "code-block" : "" }, e.elements.map(richLeaf));
}

function richLeaf(e) {
  let node = e.text || "";
  if (e.type === "link") node = h("a", { href: e.url, target: "_blank", rel: "noreferrer noopener" }, e.text || e.url);
  if (e.type === "user") node = h("span", { class: "mention" }, `@${names.users.get(e.user_id)?.real_name || e.user_id}`);
  if (e.type === "channel") node = h("span", { class: "mention" }, `#${names.channels.get(e.channel_id)?.name || e.channel_id}`);
  if (e.type === "emoji") node = h("span", {}, mrkdwn(`:${e.name}:`));
  for (const [style, tag] of [["bold", "strong"], ["italic", "em"], ["strike", "s"], ["code", "code"]]) {
    if (e.style?.[style]) node = h(tag, {}, node);
  }
  return node;
}

const BUILD = {
  section, context, actions, input, alert, image,
  header: (b) => h("h3", { class: `block header level${b.level || 1}` }, plain(b.text)),
  divider: () => h("hr", { class: "block divider" }),
  markdown: (b) => h("div", { class: "block" }, mrkdwn(b.text)),
  rich_text: richText,
};
