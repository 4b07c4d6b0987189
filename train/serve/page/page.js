// Takes pictures however they come, asks the service about each, and shows what it says.

const SHOWN = 10; // bars before the rest is folded away
const KNOWN = 20; // labels named before the first picture
const AT_ONCE = 3; // requests under way
const PREVIEW = 1024; // pixels of the longer side of the copy that is shown

const $ = (selector, inside = document) => inside.querySelector(selector);
const body = document.body;
const words = (label) => label.replaceAll("_", " ");
const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : share > 0.9995 && share < 1 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`);
const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MB`;

let model = null;
const loaded = (async () => {
  model = await (await fetch("model")).json();
  const several = model.items.length > 1;
  document.title = `${words(model.name)} · tray`;
  $("#name").textContent = words(model.name);
  $("#facts").textContent = [
    several ? `${model.labels.length} items` : `${model.labels.length} classes`,
    model.network,
    `${model.image_size} px`,
    model.metrics.accuracy === undefined ? "" : `${(100 * model.metrics.accuracy).toFixed(1)} % of ${model.metrics.n} ${several ? "decisions on " : ""}${model.metrics.judged_on === "test" ? "test" : "held-back"} pictures right`,
  ].filter(Boolean).join(" · ");
  const known = model.labels.map(words);
  $("#facts").title = known.join(", ");
  $("#knows").textContent = `It knows ${known.slice(0, KNOWN).join(", ")}${known.length > KNOWN ? ` and ${known.length - KNOWN} more` : ""}.`;
  $("#link").hidden = !model.fetches;
  $("#as-tray").hidden = model.mode !== "binary";
  $("#example").textContent = `curl -F picture=@lunch.jpg ${new URL("predict", location.href)}`;
})();

// How pictures come.

$("#choose").onclick = () => $("#files").click();
$("#photograph").onclick = () => $("#camera").click();
for (const input of [$("#files"), $("#camera")]) {
  input.onchange = () => { take([...input.files]); input.value = ""; };
}
$("#link").onsubmit = (event) => {
  event.preventDefault();
  take([$("#address").value.trim()]);
  $("#address").value = "";
};
addEventListener("paste", (event) => {
  const found = carried(event.clipboardData);
  if (!found.length || (event.target.closest("input") && typeof found[0] === "string")) return;
  event.preventDefault();
  take(found);
});
addEventListener("dragenter", (event) => { event.preventDefault(); body.classList.add("over"); });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("dragleave", (event) => { if (!event.relatedTarget) body.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  body.classList.remove("over");
  take(carried(event.dataTransfer));
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelectorAll('.bar[aria-pressed="true"]').forEach((bar) => bar.click());
});

function carried(transfer) {
  const files = [...transfer.files];
  if (files.length) return files;
  const text = transfer.getData("text/uri-list") || transfer.getData("text/plain");
  return text.split(/\s+/).filter((one) => /^(https?:\/\/|data:image\/)/i.test(one));
}

// One after another, a few at a time.

const line = [];
let under = 0;

function take(pictures) {
  for (const picture of pictures) {
    const card = show(picture);
    line.push(() => look(picture, card));
  }
  next();
}

function next() {
  while (under < AT_ONCE && line.length) {
    under += 1;
    line.shift()().finally(() => { under -= 1; next(); });
  }
}

async function ask(path, picture) {
  const isFile = picture instanceof Blob;
  if (isFile && model && picture.size > model.limits.body) {
    throw new Error(`This file has ${megabytes(picture.size)}; at most ${megabytes(model.limits.body)} are taken.`);
  }
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": isFile ? "application/octet-stream" : "application/json" },
      body: isFile ? picture : JSON.stringify({ url: picture }),
    });
  } catch {
    throw new Error("The service does not answer. Is it still running?");
  }
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told;
}

// What is shown.

function show(picture) {
  body.classList.add("busy");
  const card = $("#answer").content.firstElementChild.cloneNode(true);
  const name = picture instanceof Blob ? picture.name || "picture" : picture.startsWith("data:") ? "picture" : picture;
  $("figcaption", card).textContent = name;
  $(".away", card).onclick = () => {
    const near = card.nextElementSibling || card.previousElementSibling;
    card.remove();
    if (near) $(".away", near).focus();
    else { body.classList.remove("busy"); $("#choose").focus(); }
  };
  $("#answers").prepend(card);
  return card;
}

async function look(picture, card) {
  const started = performance.now();
  const byParts = $("#windows").checked ? "&tray=1" : "";
  try {
    await loaded;
    const { predictions: [found] } = await ask(`predict?top=${model.labels.length}&preview=${PREVIEW}${byParts}`, picture);
    const took = Math.round(performance.now() - started);
    const image = $("img", card);
    image.src = found.preview;
    image.alt = $("figcaption", card).textContent;
    $(".picture", card).classList.add("whole");
    $(".picture", card).classList.toggle("tiny", Math.max(found.width, found.height) < 128);
    $(".picture", card).style.setProperty("--ratio", found.width / found.height);
    $("figcaption", card).textContent += ` · ${found.width} × ${found.height} · ${took} ms`;
    for (const one of found.seen || []) if (one.present) frame(card, one, found);
    tell(card, found, picture instanceof Blob ? picture : found.preview);
  } catch (error) {
    card.classList.add("wrong");
    $("figure", card).hidden = true;
    $(".lead", card).textContent = $("figcaption", card).textContent;
    $("h2", card).textContent = error.message;
  } finally {
    card.removeAttribute("aria-busy");
  }
}

function frame(card, { item, box: [left, top, right, bottom] }, { width, height }) {
  const place = document.createElement("span");
  place.className = "place";
  place.textContent = words(item);
  place.style.left = `${100 * left / width}%`;
  place.style.top = `${100 * top / height}%`;
  place.style.width = `${100 * (right - left) / width}%`;
  place.style.height = `${100 * (bottom - top) / height}%`;
  $(".picture", card).append(place);
}

function tell(card, found, picture) {
  const several = model.items.length > 1 || Boolean(found.seen);
  const present = found.items ? Object.keys(found.items) : [];
  const is = (label) => (found.items && several ? present.includes(label) : label === found.label);
  $(".lead", card).textContent = several ? "On the tray" : found.items ? "It is" : "Most likely";
  $("h2", card).textContent = several && !present.length ? "nothing it knows" : (several ? present : [found.label]).map(words).join(", ");
  $("h2", card).classList.toggle("none", several && !present.length);
  const bars = Object.entries(found.probabilities).map(([label, share]) => bar(card, label, share, is(label), picture, found.seen ? null : thresholdOf(label)));
  $(".bars", card).append(...bars);
  $(".hint", card).hidden = false;
  const folded = bars.slice(SHOWN);
  const more = $(".more", card);
  more.hidden = !folded.length;
  more.textContent = `Show ${folded.length} more`;
  for (const one of folded) one.hidden = true;
  more.onclick = () => { for (const one of folded) one.hidden = false; more.hidden = true; $("button", folded[0]).focus(); };
}

function bar(card, label, share, is, picture, threshold) {
  const row = document.createElement("li");
  row.innerHTML = '<button type="button" class="bar" aria-pressed="false"><span class="label"></span><span class="share"></span><span class="track"><span class="fill"></span></span></button>';
  const button = $("button", row);
  button.classList.toggle("is", is);
  $(".label", row).textContent = words(label);
  $(".share", row).textContent = percent(share);
  if (threshold !== null) {
    const from = document.createElement("span");
    from.className = "from";
    from.style.left = `${100 * threshold}%`;
    $(".track", row).append(from);
    button.title = `Counts as present from ${percent(threshold)}`;
  }
  requestAnimationFrame(() => requestAnimationFrame(() => { $(".fill", row).style.width = `${100 * share}%`; }));
  button.onclick = () => toggle(card, button, label, picture);
  return row;
}

function thresholdOf(label) {
  const item = model.items.find(({ labels }) => labels.at(-1) === label);
  return item ? item.threshold : null;
}

// Where the model looked.

async function toggle(card, button, label, picture) {
  const on = button.getAttribute("aria-pressed") === "true";
  for (const one of card.querySelectorAll(".bar")) one.setAttribute("aria-pressed", "false");
  const canvas = $("canvas", card);
  const hint = $(".hint", card);
  canvas.hidden = true;
  hint.textContent = "Press a line to see where the model looked.";
  if (on) return;
  button.setAttribute("aria-pressed", "true");
  card.wanted = label;
  try {
    card.heats ??= {};
    const heat = card.heats[label] ??= await ask(`where?label=${encodeURIComponent(label)}`, picture);
    if (card.wanted !== label || button.getAttribute("aria-pressed") !== "true") return;
    paint(canvas, heat.rows);
    canvas.hidden = false;
    hint.textContent = heat.rows.flat().some((value) => value > 0)
      ? `Bright: what speaks for ${words(label)}. Press again, or Escape, to see the picture alone.`
      : `Nothing on this picture speaks for ${words(label)}.`;
  } catch (error) {
    button.setAttribute("aria-pressed", "false");
    hint.textContent = error.message;
  }
}

// Dark where nothing was found, ember, then the picture itself where most was.
const RAMP = [[12, 10, 26, 0.62], [120, 30, 30, 0.42], [240, 110, 30, 0.34], [255, 214, 110, 0.16]];

function paint(canvas, rows) {
  canvas.height = rows.length;
  canvas.width = rows[0].length;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  rows.flat().forEach((value, n) => {
    const at = Math.min(value, 1) ** 0.7 * (RAMP.length - 1);
    const low = Math.min(Math.floor(at), RAMP.length - 2);
    for (let k = 0; k < 4; k += 1) {
      const mixed = RAMP[low][k] + (RAMP[low + 1][k] - RAMP[low][k]) * (at - low);
      pixels.data[4 * n + k] = k === 3 ? 255 * mixed : mixed;
    }
  });
  context.putImageData(pixels, 0, 0);
}
