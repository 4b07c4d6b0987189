// The review page: keys and pointer in, decisions out, and everything that shows them.

import { Album, STATES } from "./album.js";
import { Grid } from "./grid.js";
import { touched } from "./touch.js";
import { Wire, ask } from "./wire.js";

const STRONG = .6;
const SIDES = [84, 112, 148, 200, 280];
const NAMES = { label: "Class", reason: "Why", engine: "Engine", term: "Term", split: "Split" };
const SAYS = { keep: "kept", drop: "dropped", relabel: "relabelled", "": "undecided" };

const get = (id) => document.getElementById(id);
const make = (tag, className = "", text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
const number = (value) => value.toLocaleString("en");
const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;
const stored = (key, value) => { try { return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value); } catch { return null; } };

let album, wire, grid;
let cursor = 0, anchor = 0;
const chosen = new Set();
const pace = [];

start();

async function start() {
  const data = await ask("/album");
  album = new Album(data);
  document.title = `${data.name} – tray review`;
  get("name").textContent = data.name;
  get("path").firstElementChild.textContent = data.path;
  get("path").title = data.path;
  readAddress();
  get("order").value = album.order;
  grid = new Grid(get("grid"), get("sheet"), { make: makeTile, fill: fillTile });
  grid.wanted = Number(stored("tray-side")) || SIDES[innerWidth < 640 ? 1 : 2];
  fit(stored("tray-fit") === "whole");
  wire = new Wire(data, { heard, trouble, turned });
  await wire.open();
  get("undo").disabled = !wire.reloaded;
  buildFilters();
  refresh();
  numberLabels();
  if (!data.goes_to_raw) note("The raw pictures are not at hand: decisions stay beside the built ones.");
  get("grid").focus();
  document.body.dataset.ready = "yes";
}

// ---------------------------------------------------------------- the list

function refresh() {
  const at = album.list[cursor];
  album.make();
  chosen.clear();
  cursor = Math.max(0, Math.min(album.position.get(at) ?? 0, album.list.length - 1));
  anchor = cursor;
  grid.words = severalClasses() ? 35 : 20;
  grid.show(album.list.length);
  grid.reveal(cursor);
  get("empty").hidden = album.list.length > 0;
  get("empty").textContent = album.filters.verdict === "undecided" && album.decided === album.size
    ? "Everything is decided." : "No picture fits these filters.";
  showStates();
  showCursor();
  showTally();
}

function makeTile() {
  const tile = make("div", "tile");
  tile.setAttribute("role", "option");
  const photo = tile.appendChild(make("div", "photo"));
  const image = photo.appendChild(make("img"));
  image.alt = "";
  image.draggable = false;
  image.decoding = "async";
  image.addEventListener("error", () => { tile.classList.add("unread"); photo.dataset.unread = "can’t be shown"; });
  photo.append(make("span", "tick", "✓"), make("span", "stamp"));
  tile.append(make("p"));
  return tile;
}

function fillTile(tile, position, withImage) {
  const one = album.picture(album.list[position]);
  const isChosen = chosen.has(one.number);
  const [photo, words] = tile.children;
  const image = photo.firstElementChild;
  const source = thumbnail(one.number);
  if (tile.dataset.number !== String(one.number)) {
    tile.dataset.number = one.number;
    image.removeAttribute("src");
  }
  if (withImage && image.getAttribute("src") !== source) {
    tile.classList.remove("unread");
    image.src = source;
  }
  tile.id = `tile-${position}`;
  tile.dataset.position = position;
  tile.classList.toggle("chosen", isChosen);
  tile.classList.toggle("cursor", position === cursor);
  tile.classList.toggle("kept", one.verdict === "keep");
  tile.classList.toggle("dropped", one.verdict === "drop");
  tile.classList.toggle("relabelled", one.verdict === "relabel");
  photo.lastElementChild.textContent = { keep: "✓ keep", drop: "✕ drop", relabel: `→ ${one.given}`, "": "" }[one.verdict];
  const [first] = one.why;
  const why = make("span", first?.strength >= STRONG ? "why strong" : first ? "why" : "", first?.reason ?? "");
  words.replaceChildren(why);
  if (severalClasses()) words.append(make("span", "", one.label));
  else if (!first) why.textContent = "";
  tile.setAttribute("aria-selected", isChosen);
  tile.setAttribute("aria-setsize", album.list.length);
  tile.setAttribute("aria-posinset", position + 1);
  tile.setAttribute("aria-label", `${one.label}, ${one.why.map((each) => each.reason).join(", ") || "nothing suspicious"}, ${SAYS[one.verdict]}${one.given ? ` as ${one.given}` : ""}`);
}

const severalClasses = () => album.data.words.label.length > 1 && !album.filters.label;
const thumbnail = (picture) => `/thumbnail/${picture}?of=${album.data.started}`;
const large = (picture) => `/picture/${picture}?of=${album.data.started}`;

// ---------------------------------------------------------------- deciding

function subjects() {
  if (chosen.size) return album.list.filter((picture) => chosen.has(picture));
  return album.list.length ? [album.list[cursor]] : [];
}

function decide(verdict, label = "", pictures = subjects()) {
  if (!pictures.length) return;
  for (const picture of pictures) {
    const same = verdict === "relabel" && label === album.picture(picture).label;
    say(picture, same ? "keep" : verdict, same ? "" : label);
  }
  wire.send("/decide", { pictures, verdict, label });
  const last = Math.max(...pictures.map((picture) => album.position.get(picture) ?? 0));
  chosen.clear();
  if (verdict) {
    const now = performance.now();
    for (let count = Math.min(pictures.length, 2000); count > 0; count--) pace.push(now);
    move(after(last));
  }
  get("undo").disabled = false;
  get("redo").disabled = true;
  showAll();
  note(`${plural(pictures.length, "picture")} ${SAYS[verdict]}${label ? ` as ${label}` : ""}. ${number(album.decided)} of ${number(album.size)} decided.`);
}

function after(position) {
  if (["all", "undecided"].includes(album.filters.verdict)) {
    for (let at = position + 1; at < album.list.length; at++) if (!album.verdicts[album.list[at]]) return at;
  }
  return Math.min(position + 1, album.list.length - 1);
}

function keepTheRest() {
  const [first, last] = grid.seen();
  const rest = album.list.slice(first, last).filter((picture) => !album.verdicts[picture]);
  chosen.clear();
  if (rest.length) decide("keep", "", rest);
  if (last < album.list.length) {
    grid.scrollTo(last);
    move(last);
  }
  showAll();
}

function say(picture, verdict, label) {
  if (label && !album.data.labels.includes(label)) album.data.labels.push(label);
  if (!album.set(picture, verdict, label ?? "")) return;
  const position = album.position.get(picture);
  if (position !== undefined) grid?.paint(position);
}

function heard(changes, everything = false) {
  if (everything) {
    const now = new Map(changes.map(([picture, verdict, label]) => [picture, [verdict, label]]));
    for (let picture = 0; picture < album.size; picture++) say(picture, ...(now.get(picture) ?? ["", ""]));
  } else {
    for (const [picture, verdict, label] of changes) say(picture, verdict, label);
  }
  if (changes.length || everything) showAll();
}

function undo(path) {
  wire.send(path);
}

function turned(path, counts) {
  get(path.slice(1)).disabled = !counts;
  if (!counts) return note(path === "/undo" ? "Nothing to undo in this window." : "Nothing to redo.");
  get(path === "/undo" ? "redo" : "undo").disabled = false;
  const [back, held] = counts;
  if (path === "/undo") pace.length = Math.max(0, pace.length - back);
  note(`${path === "/undo" ? "Undone" : "Done again"}: ${plural(back, "picture")}.${held ? ` ${plural(held, "picture")} decided elsewhere since stay.` : ""}`);
}

// ---------------------------------------------------------------- moving and choosing

function move(position, extend = false) {
  if (!album.list.length) return;
  const before = cursor;
  cursor = Math.max(0, Math.min(position, album.list.length - 1));
  if (extend) choose(anchor, cursor);
  else anchor = cursor;
  grid.paint(before);
  grid.reveal(cursor);
  grid.paint(cursor);
  showCursor();
}

function choose(from, to) {
  chosen.clear();
  for (let at = Math.min(from, to); at <= Math.max(from, to); at++) chosen.add(album.list[at]);
  grid.repaint();
  showChosen();
}

function toggle(position) {
  const picture = album.list[position];
  if (picture === undefined) return;
  if (!chosen.delete(picture)) chosen.add(picture);
  grid.paint(position);
  showChosen();
}

function chooseNone() {
  chosen.clear();
  grid.repaint();
  showChosen();
}

// ---------------------------------------------------------------- showing

function showAll() {
  showTally();
  showStates();
  showChosen();
  showCursor();
}

function showTally() {
  const now = performance.now();
  while (pace.length && pace[0] < now - 60000) pace.shift();
  const left = album.counts.undecided;
  const speed = pace.length > 4 ? pace.length / Math.max(.25, (now - pace[0]) / 60000) : 0;
  const tally = get("tally");
  tally.replaceChildren(make("b", "", number(album.decided)), ` of ${number(album.size)} decided`);
  if (speed && left) tally.append(make("span", "more", ` · ${number(Math.round(speed))} a minute, ${left / speed < 1 ? "a minute" : plural(Math.round(left / speed), "minute")} to go`));
  const progress = get("progress");
  progress.setAttribute("aria-valuemax", album.size);
  progress.setAttribute("aria-valuenow", album.decided);
  progress.firstElementChild.style.width = `${100 * album.decided / album.size}%`;
}

function showStates() {
  const box = get("states");
  if (!box.children.length) {
    for (const state of STATES) {
      const button = make("button");
      button.dataset.state = state;
      button.setAttribute("role", "radio");
      button.append(state[0].toUpperCase() + state.slice(1), make("small"));
      button.addEventListener("click", () => filter("verdict", state));
      box.append(button);
    }
    box.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      filter("verdict", STATES[(STATES.indexOf(album.filters.verdict) + step + STATES.length) % STATES.length]);
      box.querySelector("[aria-checked=true]").focus();
    });
  }
  for (const button of box.children) {
    const on = button.dataset.state === album.filters.verdict;
    button.setAttribute("aria-checked", on);
    button.tabIndex = on ? 0 : -1;
    button.lastElementChild.textContent = number(album.counts[button.dataset.state]);
  }
  const stale = album.filters.verdict === "all" ? 0 : album.stale();
  const tidy = get("tidy");
  tidy.hidden = !stale;
  tidy.replaceChildren("Tidy", make("small", "", number(stale)), make("kbd", "", "."));
}

function showChosen() {
  const text = get("chosen");
  text.classList.toggle("some", chosen.size > 0);
  text.textContent = chosen.size ? `${number(chosen.size)} selected` : album.list.length ? `${number(cursor + 1)} of ${number(album.list.length)}` : "";
}

let slow;
function showCursor() {
  const picture = album.list[cursor];
  const pictures = get("grid");
  showChosen();
  if (picture === undefined) {
    pictures.removeAttribute("aria-activedescendant");
    document.querySelector("aside").replaceChildren();
    return;
  }
  pictures.setAttribute("aria-activedescendant", `tile-${cursor}`);
  const one = album.picture(picture);
  const viewer = get("viewer");
  if (viewer.open) return showViewer(one);
  const aside = document.querySelector("aside");
  if (!aside.offsetWidth) return;
  const key = `${picture} ${one.verdict} ${one.given}`;
  if (aside.dataset.shows === key) return;
  aside.dataset.shows = key;
  const big = picture === Number(aside.dataset.picture) ? aside.querySelector(".big") : bigImage(picture);
  aside.dataset.picture = picture;
  aside.replaceChildren(big, ...twins(one), ...facts(one));
  clearTimeout(slow);
  slow = setTimeout(() => tellMore(one, aside), 120);
}

// The small picture is there at once; the large one takes its place when the cursor rests.
function bigImage(picture, wait = 120) {
  const image = make("img", "big");
  image.alt = "";
  image.src = thumbnail(picture);
  setTimeout(() => {
    if (!image.isConnected) return;
    const whole = new Image();
    whole.onload = () => { image.src = whole.src; };
    whole.src = large(picture);
  }, wait);
  return image;
}

function facts(one) {
  const title = make("h2", "", one.label);
  if (one.verdict) title.append(" ", make("span", `verdict ${one.verdict}`, { keep: "keep", drop: "drop", relabel: `→ ${one.given}` }[one.verdict]));
  const why = make("ul");
  for (const { reason, strength, detail } of one.why) {
    const line = why.appendChild(make("li", strength >= STRONG ? "strong" : "", reason));
    if (detail) line.append(make("span", "", detail));
  }
  return [title, make("p", "file", one.file), why, make("dl")];
}

function twins(one) {
  return one.why.filter(({ twin }) => twin >= 0).slice(0, 1).map(({ reason, twin }) => {
    const other = album.picture(twin);
    const box = make("div", "twin");
    const image = box.appendChild(make("img"));
    image.src = thumbnail(twin);
    image.alt = "";
    box.append(make("p", "quiet", `${reason}: ${other.label}/${other.file}${other.verdict ? ` (${SAYS[other.verdict]})` : ""}`));
    return box;
  });
}

async function tellMore(one, box) {
  const about = await ask(`/about/${one.number}`).catch(() => null);
  const list = box.querySelector("dl");
  if (!about || !list || album.list[cursor] !== one.number) return;
  const rows = [
    ["Size", about.width ? `${about.width} × ${about.height}` : ""],
    ["Title", about.title],
    ["Found", [about.engine, about.term && `“${about.term}”`, about.rank && `no. ${about.rank}`].filter(Boolean).join(", ")],
    ["Page", about.page], ["Address", about.url], ["Copies", about.copies?.join(", ")], ["File", about.path],
  ];
  list.replaceChildren();
  for (const [name, value] of rows) {
    if (!value) continue;
    const cell = make("dd");
    if (/^https?:\/\//.test(value)) {
      const link = cell.appendChild(make("a", "", value.length > 90 ? `${value.slice(0, 88)}…` : value));
      Object.assign(link, { href: value, target: "_blank", rel: "noreferrer noopener" });
    } else cell.textContent = value.length > 300 ? `${value.slice(0, 298)}…` : value;
    list.append(make("dt", "", name), cell);
  }
}

function showViewer(one = album.picture(album.list[cursor])) {
  const viewer = get("viewer");
  const figure = (picture, caption) => {
    const box = make("figure");
    box.append(bigImage(picture, 0), make("figcaption", "", caption));
    return box;
  };
  const stage = viewer.querySelector(".stage") ?? make("div", "stage");
  if (Number(stage.dataset.number) !== one.number) {
    stage.dataset.number = one.number;
    const twin = one.why.find((each) => each.twin >= 0);
    stage.replaceChildren(figure(one.number, `${one.label}/${one.file}`));
    if (twin) {
      const other = album.picture(twin.twin);
      stage.append(figure(twin.twin, `${twin.reason}: ${other.label}/${other.file}`));
    }
  }
  const side = make("div", "facts");
  side.append(viewerActs(), ...facts(one));
  viewer.replaceChildren(stage, side);
  if (!viewer.open) viewer.showModal();
  // The keys belong to the picture, not to the first button.
  viewer.focus();
  tellMore(one, side);
}

function viewerActs() {
  const box = make("div", "acts");
  for (const button of document.querySelectorAll("footer [data-act]:not(.wide)")) {
    const copy = box.appendChild(button.cloneNode(true));
    copy.addEventListener("click", acts[copy.dataset.act]);
  }
  const close = box.appendChild(make("button", "", "Close "));
  close.append(make("kbd", "", "Esc"));
  close.addEventListener("click", () => get("viewer").close());
  return box;
}

let saying;
function note(text) {
  clearTimeout(saying);
  saying = setTimeout(() => { get("said").textContent = text; }, 60);
}

let lasting = false;
function trouble(text, passing = false) {
  if (!text && passing && lasting) return;
  if (text) lasting = !passing;
  else lasting = false;
  get("trouble").hidden = !text;
  get("trouble").textContent = text;
}

// ---------------------------------------------------------------- filters

function buildFilters() {
  const box = get("filters");
  box.replaceChildren();
  for (const key of Object.keys(NAMES)) {
    if (album.data.words[key].filter(Boolean).length < (key === "reason" ? 1 : 2) && !album.filters[key]) continue;
    const label = box.appendChild(make("label"));
    label.append(make("span", "unseen", NAMES[key]));
    const select = label.appendChild(make("select"));
    select.dataset.key = key;
    select.addEventListener("change", () => filter(key, select.value));
    select.addEventListener("pointerdown", () => fillChoices(select));
    select.addEventListener("focus", () => fillChoices(select));
    fillChoices(select);
  }
}

function fillChoices(select) {
  const { key } = select.dataset;
  const wanted = album.filters[key];
  const choices = album.choices(key);
  if (wanted && !choices.some(([value]) => value === wanted)) choices.push([wanted, 0]);
  const options = choices.map(([value, count]) => new Option(`${value === "–" && key === "reason" ? "nothing suspicious" : value}  ${number(count)}`, value));
  select.replaceChildren(new Option(`${NAMES[key]}: all`, ""), ...options);
  select.value = wanted;
  select.classList.toggle("on", wanted !== "");
}

function filter(key, value) {
  album.filters[key] = value;
  writeAddress();
  cursor = 0;
  album.list = [];
  refresh();
  for (const select of get("filters").querySelectorAll("select")) fillChoices(select);
  note(`${plural(album.list.length, "picture")} shown.`);
}

function readAddress() {
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
    if (key === "order") album.order = value;
    else if (key in album.filters && (key !== "verdict" || STATES.includes(value))) album.filters[key] = value;
  }
}

function writeAddress() {
  const wanted = Object.entries({ ...album.filters, order: album.order });
  const kept = wanted.filter(([key, value]) => value && !(key === "verdict" && value === "all") && !(key === "order" && value === "suspicion"));
  history.replaceState(null, "", kept.length ? `#${new URLSearchParams(kept)}` : location.pathname);
}

function fit(whole) {
  document.body.classList.toggle("whole", whole);
  get("fit").setAttribute("aria-pressed", whole);
  stored("tray-fit", whole ? "whole" : "");
}

function step(by) {
  const at = SIDES.indexOf(grid.wanted);
  const side = SIDES[Math.max(0, Math.min(SIDES.length - 1, at + by))];
  stored("tray-side", side);
  grid.resize(side);
}

// ---------------------------------------------------------------- relabelling

function numberLabels() {
  const shown = album.data.labels.slice(0, 9).map((label, at) => `${at + 1} ${label}`).join(", ");
  get("numbered").textContent = `relabel at once: ${shown}`;
}

function openPalette() {
  if (!subjects().length) return;
  get("label").value = "";
  fillPalette();
  get("palette").showModal();
  get("label").focus();
}

function fillPalette() {
  const text = get("label").value.trim();
  const known = album.data.labels;
  const found = known.filter((label) => label.toLowerCase().includes(text.toLowerCase()));
  found.sort((a, b) => b.toLowerCase().startsWith(text.toLowerCase()) - a.toLowerCase().startsWith(text.toLowerCase()));
  const list = get("labels");
  list.replaceChildren();
  const add = (label, hint) => {
    const line = list.appendChild(make("li"));
    line.dataset.label = label;
    line.id = `label-${list.children.length}`;
    line.setAttribute("role", "option");
    line.append(make("span", "", label), hint);
    line.addEventListener("click", () => relabel(label));
  };
  for (const label of found) {
    const at = known.indexOf(label);
    add(label, at < 9 ? make("kbd", "", at + 1) : "");
  }
  if (text && !known.includes(text)) add(text, make("span", "quiet", "new class"));
  pick(0);
}

function pick(at) {
  const lines = [...get("labels").children];
  lines.forEach((line, index) => line.setAttribute("aria-selected", index === at));
  lines[at]?.scrollIntoView({ block: "nearest" });
  get("label").setAttribute("aria-activedescendant", lines[at]?.id ?? "");
}

function relabel(label) {
  get("palette").close();
  decide("relabel", label);
}

get("label").addEventListener("input", fillPalette);
get("label").addEventListener("keydown", (event) => {
  const lines = [...get("labels").children];
  const at = lines.findIndex((line) => line.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown") pick(Math.min(at + 1, lines.length - 1));
  else if (event.key === "ArrowUp") pick(Math.max(at - 1, 0));
  else if (event.key === "Enter" && lines[at]) relabel(lines[at].dataset.label);
  else if (/^[1-9]$/.test(event.key) && !get("label").value && album.data.labels[event.key - 1]) relabel(album.data.labels[event.key - 1]);
  else return;
  event.preventDefault();
});

// ---------------------------------------------------------------- keys and pointer

const acts = {
  keep: () => decide("keep"), drop: () => decide("drop"), relabel: openPalette, clear: () => decide(""), rest: keepTheRest,
};

function look() {
  const viewer = get("viewer");
  if (viewer.open) viewer.close();
  else if (album.list.length) showViewer();
}

function keyed(event) {
  if (!album || !wire || get("palette").open || get("keys").open) return;
  const inField = event.target.matches?.("select, input");
  if (event.key === "Escape") {
    if (get("viewer").open) return;
    if (document.activeElement !== get("grid")) get("grid").focus();
    else chooseNone();
    return event.preventDefault();
  }
  if (inField || event.altKey || event.isComposing) return;
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (control) {
    const act = { a: () => choose(0, album.list.length - 1), z: () => undo(event.shiftKey ? "/redo" : "/undo"), y: () => undo("/redo") }[key];
    if (!act) return;
    event.preventDefault();
    return act();
  }
  // A button that has the focus keeps its own keys.
  if (event.target.matches?.("button, a, [role=radio]") && ["Enter", " ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(event.key)) return;
  const far = grid.rows * grid.columns;
  const to = { ArrowLeft: cursor - 1, ArrowRight: cursor + 1, ArrowUp: cursor - grid.columns, ArrowDown: cursor + grid.columns, PageUp: cursor - far, PageDown: cursor + far, Home: 0, End: album.list.length - 1 }[key];
  if (to !== undefined) {
    event.preventDefault();
    const stays = (key === "ArrowUp" && to < 0) || (key === "ArrowDown" && to >= album.list.length && Math.floor(cursor / grid.columns) === Math.floor((album.list.length - 1) / grid.columns));
    if (stays) return;
    if (!event.shiftKey && chosen.size) chooseNone();
    return move(to, event.shiftKey);
  }
  if (/^[1-9]$/.test(key)) {
    const label = album.data.labels[key - 1];
    if (label) decide("relabel", label);
    return event.preventDefault();
  }
  const act = {
    k: event.shiftKey ? keepTheRest : acts.keep, Enter: acts.keep, d: acts.drop, Delete: acts.drop, Backspace: acts.drop, r: openPalette,
    u: acts.clear, z: () => undo(event.shiftKey ? "/redo" : "/undo"), x: () => toggle(cursor), " ": look, n: () => move(after(cursor)),
    ".": refresh, f: () => fit(!document.body.classList.contains("whole")), "+": () => step(1), "=": () => step(1), "-": () => step(-1),
    "?": () => get("keys").showModal(), "/": () => (get("filters").querySelector("select") ?? get("states").querySelector("[tabindex='0']")).focus(),
  }[key];
  if (!act || (get("viewer").open && ["/", "+", "-", "="].includes(key)) || (get("viewer").open && key === "k" && event.shiftKey)) return;
  event.preventDefault();
  act();
}

document.addEventListener("keydown", keyed);

get("sheet").addEventListener("pointerdown", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile || event.button !== 0 || event.pointerType !== "mouse") return;
  const position = Number(tile.dataset.position);
  get("grid").focus({ preventScroll: true });
  if (event.shiftKey) {
    event.preventDefault();
    move(position, true);
  } else if (event.ctrlKey || event.metaKey) {
    move(position);
    toggle(position);
  } else {
    chooseNone();
    move(position);
  }
});
get("sheet").addEventListener("dblclick", look);

// A tap puts the cursor on a picture, a second one shows it large; with some selected, taps select more.
const SIDE = { "-1": "drop", 1: "keep" };
touched(get("sheet"), {
  find: (event) => event.target.closest(".tile"),
  reach: (tile) => Math.min(64, .4 * tile.offsetWidth),
  tap: (tile) => {
    const position = Number(tile.dataset.position);
    const again = position === cursor && !chosen.size;
    get("grid").focus({ preventScroll: true });
    if (chosen.size) toggle(position);
    move(position);
    if (again) look();
  },
  hold: (tile) => {
    move(Number(tile.dataset.position));
    toggle(Number(tile.dataset.position));
  },
  swipe: (tile, side) => {
    const position = Number(tile.dataset.position);
    const picture = album.list[position];
    if (chosen.has(picture)) return decide(SIDE[side]);
    move(position);
    decide(SIDE[side], "", [picture]);
  },
});
touched(get("viewer"), {
  find: (event) => event.target.closest(".stage"),
  reach: (stage) => Math.min(90, .25 * stage.offsetWidth),
  tap: () => {},
  hold: () => {},
  swipe: (_, side) => decide(SIDE[side]),
});
get("viewer").addEventListener("close", () => { get("viewer").replaceChildren(); get("grid").focus(); showCursor(); });
get("palette").addEventListener("close", () => { if (!get("viewer").open) get("grid").focus(); });
get("keys").addEventListener("close", () => get("grid").focus());
for (const button of document.querySelectorAll("[data-act]")) {
  button.addEventListener("click", () => { acts[button.dataset.act](); if (!get("palette").open) get("grid").focus(); });
}
get("undo").addEventListener("click", () => undo("/undo"));
get("redo").addEventListener("click", () => undo("/redo"));
get("help").addEventListener("click", () => get("keys").showModal());
get("tidy").addEventListener("click", () => { refresh(); get("grid").focus(); });
get("smaller").addEventListener("click", () => step(-1));
get("larger").addEventListener("click", () => step(1));
get("fit").addEventListener("click", () => fit(!document.body.classList.contains("whole")));
get("order").addEventListener("change", (event) => { album.order = event.target.value; writeAddress(); album.list = []; cursor = 0; refresh(); });
setInterval(() => { if (album && pace.length) showTally(); }, 5000);
