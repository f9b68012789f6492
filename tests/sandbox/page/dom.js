// Small helpers to build the page. Text always becomes text nodes, never markup.

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (key === "dataset") Object.assign(node.dataset, value);
    else if (key in node && key !== "list" && key !== "form") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

// Show `items` in `parent`, keeping the node of every item whose data did not change.
export function keyed(parent, items, key, build) {
  const old = parent._kept || new Map();
  const kept = new Map();
  const nodes = items.map((item) => {
    const id = key(item);
    const data = JSON.stringify(item);
    const before = old.get(id);
    const node = before && before.data === data ? before.node : build(item, before && before.node);
    kept.set(id, { data, node });
    return node;
  });
  parent._kept = kept;
  const same = nodes.length === parent.childNodes.length && nodes.every((n, i) => n === parent.childNodes[i]);
  if (!same) parent.replaceChildren(...nodes);
}

export async function act(body) {
  const answer = await fetch("/sandbox/act", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer.json();
}

export function toast(text, kind = "bad") {
  const node = h("div", { class: `toast ${kind}` }, text);
  document.getElementById("toasts").append(node);
  setTimeout(() => node.remove(), 9000);
}

export function initials(name) {
  return name.split(/\s+/).map((w) => w[0]).slice(0, 2).join("").toUpperCase();
}

const HUES = { admin: 262, member: 205, guest: 28, external: 340, bot: 178 };

export function avatar(user, size = 36) {
  if (!user || user.kind === "bot") return h("img", { class: "avatar", src: "/page/icon.svg", alt: "", width: size, height: size });
  const node = h("span", { class: "avatar", "aria-hidden": "true" }, initials(user.real_name));
  node.style.setProperty("--size", `${size}px`);
  node.style.setProperty("--hue", HUES[user.kind] + (user.id.charCodeAt(user.id.length - 1) % 5) * 14);
  return node;
}
