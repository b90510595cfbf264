'use strict';
// Runs in the namespace of the server: starts one, lets people write from the other namespace, and prints what they saw.
//   node server.js <namespace of the clients> <address> <messages each way> <milliseconds>

const { spawn } = require('node:child_process');
const path = require('node:path');
const { App } = require('../lib/app');
const { Server } = require('../lib/server');

(async () => {
  const [namespace, address, count, ms] = process.argv.slice(2);
  const server = await Server.start({ name: 'weak', listen: `${address}:0` });
  const app = await App.create({}, server);
  const tokens = {};
  for (const name of ['alice', 'bob', 'carol', 'dave']) tokens[name] = await app.userToken(name);
  const told = JSON.stringify({ key: app.key, host: server.listen, tokens, count: Number(count), ms: Number(ms) });
  const people = spawn('ip', ['netns', 'exec', namespace, process.execPath, path.join(__dirname, 'people.js')], { stdio: 'inherit', env: { ...process.env, E2E_WEAK: told } });
  const status = await new Promise((resolve) => people.once('exit', resolve));
  await server.kill();
  server.removeData();
  process.exit(status ?? 1);
})();
