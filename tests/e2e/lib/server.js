'use strict';
// The real binary as a child process: on port 0, with its own data folder, ready before use.

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { until } = require('./wait');

const ROOT = path.resolve(__dirname, '../../..');
const BINARY = path.resolve(process.env.E2E_BIN || path.join(ROOT, 'target/debug/meridian'));

/** The server must see only what a test gives it. */
function cleanEnvironment(extra = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('MERIDIAN_'));
  return { ...Object.fromEntries(kept), ...extra };
}

function temporaryFolder(name) {
  return fs.mkdtempSync(path.join(os.tmpdir(), `meridian-${name}-`));
}

class Server {
  /** `env`: extra MERIDIAN_ variables. `dataDir`: kept by the caller; otherwise made here. */
  constructor({ dataDir, env = {}, name = 'e2e', listen = '127.0.0.1:0', under } = {}) {
    this.dataDir = dataDir || temporaryFolder(name);
    this.env = env;
    this.under = under;
    this.listenArg = listen;
    this.logPath = path.join(os.tmpdir(), `${path.basename(this.dataDir)}-${process.pid}.log`);
  }

  static async start(options) {
    const server = new Server(options);
    await server.start();
    return server;
  }

  /** Uses a server that somebody else started and will stop. */
  static attach(addresses) {
    const server = Object.create(Server.prototype);
    return Object.assign(server, addresses, { shared: true });
  }

  async start() {
    if (!fs.existsSync(BINARY)) throw new Error(`no server binary at ${BINARY}; build it or set E2E_BIN`);
    const ready = path.join(this.dataDir, 'listening.json');
    fs.rmSync(ready, { force: true });
    const args = ['serve', '--listen', this.listenArg, '--admin', '127.0.0.1:0', '--data-dir', this.dataDir];
    // To a file, not a pipe: a pipe that nobody reads would stop the server when it is full.
    const log = fs.openSync(this.logPath, 'a');
    this.child = spawn(BINARY, args, { env: cleanEnvironment(this.env), stdio: ['ignore', log, log] });
    fs.closeSync(log);
    this.exited = new Promise((resolve) => this.child.once('exit', (code, signal) => resolve({ code, signal })));
    let gone = null;
    this.exited.then((how) => (gone = how));
    const addresses = await until('the server is ready', () => {
      if (gone) throw new Error(`the server exited (${JSON.stringify(gone)}): ${this.log.slice(-2000)}`);
      try {
        return JSON.parse(fs.readFileSync(ready, 'utf8'));
      } catch {
        return null;
      }
    }, { ms: 30_000 });
    this.listen = addresses.listen;
    this.admin = addresses.admin;
    this.link = addresses.link;
    await until('/readyz says so', async () => {
      const answer = await fetch(`http://${this.admin}/readyz`).catch(() => null);
      return answer?.status === 200;
    });
    return this;
  }

  get log() {
    return fs.readFileSync(this.logPath, 'utf8');
  }

  /** Of several cores each use meets the next one. */
  get next() {
    this.uses = (this.uses ?? 0) + 1;
    const all = [this.listen, ...(this.others ?? [])];
    return all[this.uses % all.length];
  }

  get rest() {
    return `http://${this.next}`;
  }

  get socket() {
    return `ws://${this.next}/websocket`;
  }

  get pid() {
    return this.child.pid;
  }

  async adminCall(method, where, body) {
    const answer = await fetch(`http://${this.admin}${where}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`admin ${method} ${where}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }

  async metrics() {
    return (await fetch(`http://${this.admin}/metrics`)).text();
  }

  /** SIGTERM, and the exit code that follows. */
  async stop(ms = 30_000) {
    this.child.kill('SIGTERM');
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the server did not stop within ${ms} ms`)), ms);
    });
    try {
      return await Promise.race([this.exited, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** `meridian drain`, and its exit code: 0 once edges have moved the sessions. */
  drain(seconds = 20) {
    const command = spawn(BINARY, ['drain', '--admin', this.admin, '--within', `${seconds}`], { env: cleanEnvironment(), stdio: 'ignore' });
    return new Promise((resolve) => command.once('exit', resolve));
  }

  get runs() {
    return Boolean(this.child) && this.child.exitCode === null && this.child.signalCode === null;
  }

  async kill() {
    this.child.kill('SIGKILL');
    return this.exited;
  }

  /** `meridian check` on this data folder, or on a store; the server must be stopped. */
  check(store) {
    const where = store ? ['--store', store] : ['--data-dir', this.dataDir];
    const done = spawnSync(BINARY, ['check', ...where], {
      env: cleanEnvironment(),
      encoding: 'utf8',
      timeout: 300_000,
    });
    return { code: done.status, output: `${done.stdout}${done.stderr}` };
  }

  /** Resident memory in bytes. */
  residentBytes() {
    const status = fs.readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) * 1024;
  }

  panics() {
    return this.log.split('\n').filter((line) => /panicked at|stack overflow|memory allocation of/.test(line));
  }

  removeData() {
    fs.rmSync(this.dataDir, { recursive: true, force: true });
    fs.rmSync(this.logPath, { force: true });
  }
}

let own;

/** Who has left a room without a word is found out soon. */
const SUITE = { MERIDIAN_CORE_ROOM_SWEEP_MS: '200' };

/** The suite's server when the runner started one, else one of this test file. */
async function theServer() {
  if (own) return own;
  if (process.env.E2E_SERVER) own = Server.attach(JSON.parse(process.env.E2E_SERVER));
  else own = await Server.start({ env: SUITE });
  return own;
}

/** Stops what this file started. */
async function releaseServer() {
  if (own && !own.shared) {
    await own.kill();
    own.removeData();
  }
  own = undefined;
}

module.exports = { Server, SUITE, theServer, releaseServer, temporaryFolder, cleanEnvironment, BINARY, ROOT };
