'use strict';
// Waiting on conditions, always with a deadline. Tests never sleep for a guessed time.

const DEADLINE_MS = 15_000;

/** Polls until `probe` gives something truthy (or stops throwing) and returns it. */
async function until(what, probe, { ms = DEADLINE_MS, every = 20 } = {}) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** A list that can be waited on: items are pushed by one side and taken, in any order, by the other. */
class Inbox {
  constructor(name) {
    this.name = name;
    this.items = [];
    this.waiters = new Set();
  }

  push(item) {
    this.items.push({ item, taken: false });
    for (const waiter of [...this.waiters]) waiter();
  }

  /** Every item so far, taken or not. */
  all(matches = () => true) {
    return this.items.map((entry) => entry.item).filter(matches);
  }

  /** Takes the first item that matches and was not taken yet, waiting for it if need be. */
  take(matches = () => true, what = 'an item', ms = DEADLINE_MS) {
    const find = () => {
      const entry = this.items.find((candidate) => !candidate.taken && matches(candidate.item));
      if (entry) entry.taken = true;
      return entry;
    };
    const ready = find();
    if (ready) return Promise.resolve(ready.item);
    return this.wait(find, what, ms).then((entry) => entry.item);
  }

  /** Resolves when `probe(all items)` is truthy. */
  when(probe, what = 'a state', ms = DEADLINE_MS) {
    const find = () => probe(this.all());
    const ready = find();
    return ready ? Promise.resolve(ready) : this.wait(find, what, ms);
  }

  wait(find, what, ms) {
    return new Promise((resolve, reject) => {
      const waiter = () => {
        const found = find();
        if (found) finish(() => resolve(found));
      };
      const timer = setTimeout(() => {
        const seen = JSON.stringify(this.all().slice(-8), short)?.slice(0, 1500);
        finish(() => reject(new Error(`${this.name}: not within ${ms} ms: ${what}; last seen: ${seen}`)));
      }, ms);
      const finish = (then) => {
        clearTimeout(timer);
        this.waiters.delete(waiter);
        then();
      };
      this.waiters.add(waiter);
    });
  }
}

function short(key, value) {
  if (value && value.type === 'Buffer') return `<${value.data.length} bytes>`;
  return typeof value === 'string' && value.length > 200 ? `${value.slice(0, 200)}…` : value;
}

module.exports = { until, Inbox, DEADLINE_MS };
