// Shows one card at a time; tests/sandbox/gallery.py calls `show` and takes a picture of what it
// says. Everything is drawn by the modules that draw the sandbox page.
import { blocks } from "./blocks.js";
import { modal } from "./modal.js";
import { names } from "./mrkdwn.js";
import { initial, message } from "./slack.js";
import { h } from "./dom.js";

let count = 0;
const stage = document.getElementById("stage");

export function people(users, channels, locale) {
  names.users = new Map(users.map((u) => [u.id, u]));
  names.channels = new Map(channels.map((c) => [c.id, c]));
  names.locale = locale;
}

// The selector of what is to be seen.
export function show(shot) {
  modal({ modals: [] });
  for (const box of document.querySelectorAll("body > .shade")) box.remove();
  stage.replaceChildren();
  const selector = SHOW[shot.kind](shot);
  document.activeElement?.blur();
  localPickers();
  inGerman();
  return selector;
}

// Chromium shows dates and times in its own language, Slack in the reader's.
function localPickers() {
  for (const field of document.querySelectorAll("input.picker")) {
    const when = new Date(field.type === "date" ? `${field.value}T12:00` : `2026-01-01T${field.value}`);
    const style = field.type === "date" ? { dateStyle: "long" } : { timeStyle: "short" };
    field.type = "text";
    field.value = new Intl.DateTimeFormat(names.locale, style).format(when);
  }
}

// What Slack's own client writes around a card, in the reader's language.
const GERMAN = { "👁 Only visible to you": "👁 Nur für Sie sichtbar", "Add…": "Hinzufügen…", "Choose an option": "Option auswählen" };

function inGerman() {
  if (!names.locale.startsWith("de")) return;
  for (const node of document.querySelectorAll(".only-you, option")) node.textContent = GERMAN[node.textContent] || node.textContent;
}

const SHOW = {
  message(shot) {
    const m = { ts: shot.ts, user: shot.user, by_app: true, text: shot.text, blocks: shot.blocks, ephemeral: shot.ephemeral, files: [], replies: 0 };
    stage.append(message(m, () => {}));
    if (!shot.ask) return ".message";
    stage.querySelector(`[data-action="${CSS.escape(shot.ask)}"]`).click();
    stage.replaceChildren();
    return "body > .shade";
  },
  modal(shot) {
    count += 1;
    const view = { id: `V${count}`, hash: "1", content: shot.content, values: {}, errors: shot.errors, trouble: "", busy: false };
    modal({ modals: [view] });
    return "#overlay .shade";
  },
  home(shot) {
    const ctx = { id: "home", value: (b, e) => initial(e), set: () => {}, use: () => {} };
    stage.append(h("div", { class: "home" }, blocks(shot.content.blocks, ctx)));
    return ".home";
  },
};

// --- smaller pictures: 256 colours are enough for text -----------------------------------------

const base64 = (bytes) => { let text = ""; for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192)); return btoa(text); };

// A PNG as base64 to its palette and the place of each pixel's colour in it.
export async function shrink(png) {
  const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(png), (c) => c.charCodeAt(0))]));
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const rgba = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const often = new Map();
  for (const colour of rgba) often.set(colour, (often.get(colour) || 0) + 1);
  const chosen = palette([...often].sort((a, b) => b[1] - a[1]).map(([colour]) => colour));
  const place = new Map([...often.keys()].map((colour) => [colour, nearest(colour, chosen)]));
  const colours = Uint8Array.from(chosen.flatMap((c) => [c & 255, (c >> 8) & 255, (c >> 16) & 255]));
  return { width, height, colours: base64(colours), pixels: base64(Uint8Array.from(rgba, (c) => place.get(c))) };
}

// The most frequent colours; where there are too many, one for all that look the same.
function palette(sorted) {
  if (sorted.length <= 256) return sorted;
  const looks = new Map();
  for (const c of sorted) if (!looks.has(c & 0xf8f8f8)) looks.set(c & 0xf8f8f8, c);
  return [...looks.values()].slice(0, 256);
}

function nearest(colour, chosen) {
  let best = 0;
  let least = Infinity;
  for (const [index, c] of chosen.entries()) {
    const r = (c & 255) - (colour & 255), g = ((c >> 8) & 255) - ((colour >> 8) & 255), b = ((c >> 16) & 255) - ((colour >> 16) & 255);
    const far = r * r + g * g + b * b;
    if (far < least) [best, least] = [index, far];
  }
  return best;
}

globalThis.gallery = { people, show, shrink };
