// What there is to look at: pictures, their verdicts, and the list that filters and order make of them.

export const STATES = ["all", "undecided", "keep", "drop", "relabel"];
const NONE = "–";

export class Album {
  constructor(data) {
    this.data = data;
    this.size = data.pictures.length;
    this.verdicts = new Array(this.size).fill("");
    this.labels = new Array(this.size).fill("");
    this.counts = { all: this.size, undecided: this.size, keep: 0, drop: 0, relabel: 0 };
    this.filters = { verdict: "all", label: "", reason: "", engine: "", term: "", split: "" };
    this.order = "suspicion";
    this.list = [];
    this.position = new Map();
  }

  picture(number) {
    const [file, label, split, engine, term, score, why] = this.data.pictures[number];
    const { words } = this.data;
    return {
      number, file, score, label: words.label[label], split: words.split[split], engine: words.engine[engine],
      term: words.term[term], verdict: this.verdicts[number], given: this.labels[number],
      why: why.map(([reason, strength, detail, twin]) => ({ reason: words.reason[reason], strength, detail, twin })),
    };
  }

  get decided() {
    return this.size - this.counts.undecided;
  }

  set(number, verdict, label) {
    const before = this.verdicts[number];
    if (before === verdict && this.labels[number] === label) return false;
    this.counts[before || "undecided"]--;
    this.counts[verdict || "undecided"]++;
    this.verdicts[number] = verdict;
    this.labels[number] = label;
    return true;
  }

  fits(number) {
    const { verdict } = this.filters;
    const said = this.verdicts[number] || "undecided";
    return (verdict === "all" || verdict === said) && this.matches(number);
  }

  matches(number, except = "") {
    const row = this.data.pictures[number];
    const { words } = this.data;
    const wanted = this.filters;
    for (const [key, column] of [["label", 1], ["split", 2], ["engine", 3], ["term", 4]]) {
      if (wanted[key] && key !== except && words[key][row[column]] !== wanted[key] && !(wanted[key] === NONE && !words[key][row[column]])) return false;
    }
    if (!wanted.reason || except === "reason") return true;
    return wanted.reason === NONE ? !row[6].length : row[6].some(([reason]) => words.reason[reason] === wanted.reason);
  }

  make() {
    const rows = this.data.pictures;
    const { words } = this.data;
    const file = (a, b) => (rows[a][0] < rows[b][0] ? -1 : rows[a][0] > rows[b][0] ? 1 : a - b);
    const worst = (a, b) => rows[b][5] - rows[a][5] || a - b;
    const label = (a, b) => words.label[rows[a][1]].localeCompare(words.label[rows[b][1]]) || worst(a, b);
    const list = [];
    for (let number = 0; number < this.size; number++) if (this.fits(number)) list.push(number);
    this.list = list.sort({ suspicion: worst, label, file }[this.order] ?? worst);
    this.position = new Map(list.map((number, position) => [number, position]));
  }

  // The values of a filter with how many pictures each would show, the commonest first.
  choices(key) {
    const column = { label: 1, split: 2, engine: 3, term: 4 }[key];
    const counts = new Map();
    for (let number = 0; number < this.size; number++) {
      if (!this.matches(number, key)) continue;
      const row = this.data.pictures[number];
      const values = key === "reason" ? row[6].map(([reason]) => reason) : [row[column]];
      if (!values.length) counts.set(-1, (counts.get(-1) ?? 0) + 1);
      for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    return [...counts].map(([value, count]) => [this.data.words[key][value] || NONE, count]).sort((a, b) => b[1] - a[1]);
  }

  stale() {
    return this.list.reduce((count, number) => count + !this.fits(number), 0);
  }
}
