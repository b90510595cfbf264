'use strict';
// Edges and cores over a PostgreSQL, a Redis and an S3 server of their own, all as child processes that end with this one.

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { Server, temporaryFolder } = require('./server');
const { until } = require('./wait');

const POSTGRES = '/usr/lib/postgresql/15/bin';

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = net.createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** PostgreSQL refuses to run as root. */
function unprivileged(command) {
  return process.getuid() === 0
    ? ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups', '--', ...command]
    : command;
}

/** A server that tests/run has built. */
function tool(name) {
  const cache = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  const built = path.join(process.env.MERIDIAN_TOOLS || path.join(cache, 'meridian-tools'), 'bin', name);
  return fs.existsSync(built) ? built : name;
}

async function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

class Cores {
  /** `spare`: more cores that edges know of and that do not run yet. */
  static async start({ cores: running = 2, edges = 2, spare = 0, env: more = {} } = {}) {
    const cores = Object.assign(new Cores(), { folder: temporaryFolder('cores'), children: [], servers: [], edges: [] });
    process.once('exit', () => cores.children.forEach((child) => child.kill('SIGKILL')));
    fs.chmodSync(cores.folder, 0o755);
    const [database, redis, s3] = [await freePort(), await freePort(), await freePort()];
    await cores.startPostgres(database);
    cores.run(['redis-server', '--port', `${redis}`, '--bind', '127.0.0.1', '--save', '', '--dir', cores.folder]);
    await until('Redis is ready', () => accepts(redis), { ms: 20_000 });
    const files = path.join(cores.folder, 's3');
    fs.mkdirSync(path.join(files, 'files'), { recursive: true });
    cores.run([tool('s3s-fs'), '--host', '127.0.0.1', '--port', `${s3}`, '--access-key', 'access', '--secret-key', 'secret', files]);
    await until('S3 is ready', () => accepts(s3), { ms: 20_000 });
    cores.store = `postgres://postgres@127.0.0.1:${database}/postgres`;
    const secret = 'the edges and cores of the e2e suite';
    for (let number = 1; number <= running + spare; number += 1) {
      const env = {
        MERIDIAN_ROLES: 'core',
        MERIDIAN_LINK_LISTEN: `127.0.0.1:${await freePort()}`,
        MERIDIAN_LINK_SECRET: secret,
        MERIDIAN_STORE: cores.store,
        MERIDIAN_SOFT: `redis://127.0.0.1:${redis}`,
        MERIDIAN_BLOBS: `s3://files?endpoint=http://127.0.0.1:${s3}&access_key=access&secret_key=secret`,
        MERIDIAN_CLUSTER_LISTEN: '127.0.0.1:0',
        MERIDIAN_CLUSTER_SECRET: 'the cores of the e2e suite',
        ...more,
      };
      cores.servers.push(new Server({ name: `core-${number}`, env }));
    }
    for (const server of cores.servers.slice(0, running)) await server.start();
    const links = cores.servers.map((server) => server.env.MERIDIAN_LINK_LISTEN).join(',');
    for (let number = 1; number <= edges; number += 1) {
      const env = { MERIDIAN_ROLES: 'edge', MERIDIAN_LINK_CORES: links, MERIDIAN_LINK_SECRET: secret };
      cores.edges.push(await Server.start({ name: `edge-${number}`, env }));
    }
    return cores;
  }

  /** With full sync, as in production. */
  async startPostgres(port) {
    const data = path.join(this.folder, 'postgres');
    fs.mkdirSync(data);
    if (process.getuid() === 0) spawnSync('chown', ['postgres', data]);
    const [program, ...rest] = unprivileged([`${POSTGRES}/initdb`, '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8']);
    const made = spawnSync(program, rest, { cwd: '/', encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`initdb: ${made.error || made.stderr}`);
    this.run(unprivileged([`${POSTGRES}/postgres`, '-D', data, '-p', `${port}`, '-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=${data}`, '-c', 'max_connections=200']));
    await until('PostgreSQL is ready', () => spawnSync(`${POSTGRES}/pg_isready`, ['-q', '-h', '127.0.0.1', '-p', `${port}`]).status === 0, { ms: 30_000 });
  }

  run([program, ...args]) {
    const log = fs.openSync(path.join(os.tmpdir(), `${path.basename(this.folder)}-services.log`), 'a');
    this.children.push(spawn(program, args, { cwd: '/', stdio: ['ignore', log, log] }));
    fs.closeSync(log);
  }

  /** What a test file attaches to: each connection and call goes to the next edge. */
  get shared() {
    const [{ admin, dataDir, logPath }] = this.servers;
    const [listen, ...others] = this.edges.map((edge) => edge.listen);
    return JSON.stringify({ listen, admin, dataDir, logPath, others });
  }

  async end() {
    for (const child of this.children.reverse()) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGINT');
      await gone;
    }
    fs.rmSync(this.folder, { recursive: true, force: true });
    [...this.servers, ...this.edges].forEach((server) => server.removeData());
  }
}

module.exports = { Cores };
