// Slack's markup to nodes: styles, code, quotes, links, mentions, dates, emoji.
import { h } from "./dom.js";
import { EMOJI } from "./emoji.js";

export const names = { users: new Map(), channels: new Map(), locale: "en-US" };

const unescape = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

export function emojis(text) {
  return text.replace(/:([a-z0-9_+-]+):/g, (whole, code) => EMOJI[code] || whole);
}

// What a notification or a screen reader gets: no styles, no markup.
export function spoken(text) {
  const said = text.replace(/<[@#!]?[^<>|]*\|([^<>]*)>/g, "$1").replace(/<@([^<>|]+)>/g, (whole, id) => `@${names.users.get(id)?.real_name || id}`);
  return emojis(unescape(said.replace(/<#([^<>|]+)>/g, (whole, id) => `#${names.channels.get(id)?.name || id}`)));
}

export function plain(object) {
  if (!object) return "";
  return object.type === "mrkdwn" ? [...mrkdwn(object.text)] : emojis(object.text);
}

export function rich(object) {
  if (!object) return [];
  return object.type === "mrkdwn" ? mrkdwn(object.text) : [h("span", { class: "plain" }, emojis(object.text))];
}

export function mrkdwn(text) {
  const nodes = [];
  for (const [index, part] of String(text).split("```").entries()) {
    if (index % 2 === 1) nodes.push(h("pre", { class: "code-block" }, unescape(part.replace(/^\n|\n$/g, ""))));
    else if (part) nodes.push(...lines(part));
  }
  return nodes;
}

function lines(text) {
  const nodes = [];
  let quote = null;
  let first = true;
  for (const line of text.split("\n")) {
    const quoted = /^(&gt;|>)\s?/.exec(line);
    if (quoted) {
      if (!quote) nodes.push((quote = h("blockquote")));
      else quote.append(h("br"));
      quote.append(...inline(line.slice(quoted[0].length)));
      first = true;
      continue;
    }
    quote = null;
    if (!first) nodes.push(h("br"));
    nodes.push(...inline(line));
    first = false;
  }
  return nodes;
}

const STYLES = { "*": "strong", _: "em", "~": "s" };
const TOKEN = /<([^<>]+)>|`([^`]+)`|(?<![\p{L}\p{N}])([*_~])(?=\S)(.+?)(?<=\S)\3(?![\p{L}\p{N}])|:([a-z0-9_+-]+):/gu;

function inline(text) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    nodes.push(unescape(text.slice(at, match.index)));
    nodes.push(...token(match));
    at = match.index + match[0].length;
  }
  nodes.push(unescape(text.slice(at)));
  return nodes.filter((n) => n !== "");
}

function token([whole, angle, code, mark, styled, emoji]) {
  if (angle !== undefined) return [special(angle)];
  if (code !== undefined) return [h("code", {}, unescape(code))];
  if (mark) return [h(STYLES[mark], {}, ...inline(styled))];
  return [EMOJI[emoji] ? h("span", { class: "emoji", title: `:${emoji}:` }, EMOJI[emoji]) : whole];
}

function special(body) {
  const [target, label] = splitOnce(body, "|");
  if (target.startsWith("@")) return mention(`@${names.users.get(target.slice(1))?.real_name || label || target.slice(1)}`);
  if (target.startsWith("#")) return mention(`#${names.channels.get(target.slice(1))?.name || label || "private channel"}`);
  if (target.startsWith("!date^")) return date(target, label);
  if (target.startsWith("!")) return h("span", { class: "mention broadcast" }, `@${target.slice(1)}`);
  if (!/^(https?:|mailto:|tel:)/.test(unescape(target))) return unescape(`<${body}>`);
  return h("a", { href: unescape(target), target: "_blank", rel: "noreferrer noopener" }, emojis(unescape(label || target)));
}

const mention = (text) => h("span", { class: "mention" }, text);

function splitOnce(text, by) {
  const at = text.indexOf(by);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

const FORMATS = {
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  time: { hour: "numeric", minute: "2-digit" },
  time_secs: { hour: "numeric", minute: "2-digit", second: "2-digit" },
};

function date(target, fallback) {
  const [, stamp, format, link] = target.split("^");
  const when = new Date(Number(stamp) * 1000);
  if (Number.isNaN(when.getTime())) return fallback;
  const shown = format.replace(/\{([a-z_]+)\}/g, (whole, name) => dateToken(when, name) ?? whole);
  const node = h("time", { title: when.toLocaleString(names.locale), dateTime: when.toISOString() }, shown);
  return link ? h("a", { href: link, target: "_blank", rel: "noreferrer noopener" }, node) : node;
}

function dateToken(when, name) {
  if (name === "ago") return ago(when);
  const pretty = name.endsWith("_pretty") || name === "day_divider_pretty";
  const base = name.replace("_pretty", "").replace("_full", "").replace("day_divider", "date_long");
  if (!FORMATS[base]) return undefined;
  const near = pretty ? nearby(when) : "";
  return near || when.toLocaleString(names.locale, FORMATS[base]);
}

function nearby(when) {
  const day = (d) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
  const days = Math.round((day(when) - day(new Date())) / 86400000);
  if (Math.abs(days) > 1) return "";
  return new Intl.RelativeTimeFormat(names.locale, { numeric: "auto" }).format(days, "day");
}

function ago(when) {
  const seconds = (when.getTime() - Date.now()) / 1000;
  const format = new Intl.RelativeTimeFormat(names.locale, { numeric: "auto" });
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return format.format(Math.round(seconds / size), unit);
  }
  return format.format(Math.round(seconds), "second");
}
