// Sends decisions in their order, never loses one, and hears what other windows decided.

const PENDING = "tray-pending";

export class Wire {
  // `album` is what the server said; `heard(changes)` gets [picture, verdict, label, window] rows;
  // `trouble(text)` says what is wrong, "" when all is well again.
  constructor(album, { heard, trouble, turned }) {
    this.album = album;
    this.heard = heard;
    this.trouble = trouble;
    this.turned = turned;
    this.count = 0;
    this.outbox = [];
    this.sending = false;
    this.reloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";
    this.window = windowName(this.reloaded);
    addEventListener("beforeunload", (event) => { if (this.outbox.length) event.preventDefault(); });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.poll(); });
  }

  async open() {
    const answer = await ask("/verdicts");
    this.count = answer.count;
    this.heard(answer.verdicts.map(([picture, verdict, label]) => [picture, verdict, label, ""]));
    this.resume();
    this.listen();
  }

  send(path, body = {}) {
    this.outbox.push({ path, body });
    this.remember();
    this.pump();
  }

  get waiting() {
    const pictures = new Set();
    for (const { body } of this.outbox) for (const picture of body.pictures ?? []) pictures.add(picture);
    return pictures;
  }

  async pump() {
    if (this.sending) return;
    this.sending = true;
    while (this.outbox.length) {
      const { path, body } = this.outbox[0];
      const since = this.count;
      try {
        const answer = await ask(path, { ...body, since, window: this.window, started: this.album.started });
        this.outbox.shift();
        this.take(answer, since);
        if ("turned" in answer) this.turned(path, answer.turned);
        this.trouble("");
      } catch (error) {
        if (!(error instanceof Refusal)) {
          this.trouble("Not saved yet: the server does not answer. This page sends again until it does; leave it open.");
          await pause(1000);
          if (await this.restarted()) return;
          continue;
        }
        if (await this.restarted()) return;
        this.outbox.shift();
        this.trouble(`Not saved. ${error.message}`);
        const answer = await ask("/verdicts").catch(() => null);
        if (answer) {
          this.count = answer.count;
          this.heard(answer.verdicts, true);
        }
      }
      this.remember();
    }
    this.sending = false;
  }

  // A page outlives its server: with a new one, numbers of pictures mean others, so it loads again.
  async restarted() {
    const answer = await ask("/changes?since=0").catch(() => null);
    if (!answer || answer.started === this.album.started) return false;
    this.remember();
    this.outbox = [];
    location.reload();
    return true;
  }

  take(answer, since) {
    if (answer.started !== this.album.started) return this.restarted();
    const fresh = answer.changes.slice(Math.max(0, this.count - since));
    this.count = Math.max(this.count, answer.count);
    const waiting = this.waiting;
    this.heard(fresh.filter(([picture]) => !waiting.has(picture)));
  }

  async poll() {
    if (this.sending) return;
    const since = this.count;
    try {
      const answer = await ask(`/changes?since=${since}`);
      this.trouble("", true);
      await this.take(answer, since);
    } catch {
      this.trouble("The server does not answer. Start `tray review` again; this page waits for it.", true);
    }
  }

  async listen() {
    for (;;) {
      await pause(document.hidden ? 4000 : 900);
      await this.poll();
    }
  }

  // What was not sent yet is kept by file name, and sent by the page that is loaded next.
  remember() {
    const named = this.outbox.map(({ path, body }) => ({
      path, body: { ...body, pictures: undefined }, names: body.pictures?.map((picture) => this.name(picture)),
    }));
    try { sessionStorage.setItem(PENDING, JSON.stringify(named)); } catch { /* a full store loses nothing that is open */ }
  }

  resume() {
    const named = JSON.parse(sessionStorage.getItem(PENDING) ?? "[]");
    if (!named.length) return;
    const numbers = new Map(this.album.pictures.map((_, picture) => [this.name(picture), picture]));
    for (const { path, body, names } of named) {
      if (path !== "/decide") continue;
      const pictures = names.map((name) => numbers.get(name)).filter((picture) => picture !== undefined);
      if (!pictures.length) continue;
      this.heard(pictures.map((picture) => [picture, body.verdict, body.label, this.window]));
      this.send(path, { ...body, pictures });
    }
    this.remember();
  }

  name(picture) {
    const [file, label, split] = this.album.pictures[picture];
    return `${this.album.words.split[split]}/${this.album.words.label[label]}/${file}`;
  }
}

class Refusal extends Error {}

export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  if (answer.ok) return answer.json();
  const said = await answer.json().catch(() => ({}));
  throw new Refusal(said.error ?? `The server answered ${answer.status}.`);
}

// A window keeps its name, and with it what it can undo, while it is reloaded; a copy of it gets a name of its own.
function windowName(again) {
  const name = (again && sessionStorage.getItem("tray-window")) || Math.random().toString(16).slice(2, 10).padEnd(8, "0");
  sessionStorage.setItem("tray-window", name);
  return name;
}

const pause = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));
