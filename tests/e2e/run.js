'use strict';
// Runs the whole suite: every case against one server, then a graceful stop and the replay check of all the data that
// the cases left, then the bad days on servers of their own. The exit code says whether everything held.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { Cores } = require('./lib/cores');
const { Server, SUITE } = require('./lib/server');

const files = (folder) => fs.readdirSync(path.join(__dirname, folder))
  .filter((name) => name.endsWith('.test.js')).sort().map((name) => path.join(folder, name));

/** These start servers of their own, whatever the suite runs on. */
const OWN_SERVERS = ['demo.test.js', 'life.test.js'];

function runTests(paths, concurrency, environment = {}) {
  const args = ['--test', '--test-force-exit', '--test-timeout=300000', `--test-concurrency=${concurrency}`, '--test-reporter=spec', ...paths];
  const tests = spawn(process.execPath, args, { cwd: __dirname, stdio: 'inherit', env: { ...process.env, ...environment } });
  return new Promise((resolve) => tests.once('exit', (status) => resolve(status === 0)));
}

/** The same cases, each client and call on another edge than the one before. */
async function overEdgesAndCores(note) {
  const cores = await Cores.start({ env: SUITE });
  note('cases over two edges and two cores', await runTests(files('cases').filter((name) => !OWN_SERVERS.includes(path.basename(name))), 3, { E2E_SERVER: cores.shared }));
  for (const server of [...cores.edges, ...cores.servers]) {
    const { code, signal } = await server.stop();
    note(`graceful stop of an edge or core (exit ${code ?? signal})`, code === 0);
    const panics = server.panics();
    note(`no panic in its log${panics.map((line) => `\n  ${line}`).join('')}`, panics.length === 0);
  }
  const check = cores.servers[0].check(cores.store);
  console.log(check.output.trimEnd());
  note("replay check of the two cores' data", check.code === 0);
  await cores.end();
}

async function main() {
  const failures = [];
  const note = (what, held) => {
    console.log(`${held ? 'ok' : 'FAILED'}: ${what}`);
    if (!held) failures.push(what);
  };

  const server = await Server.start({ name: 'suite', env: SUITE });
  const { listen, admin, dataDir, logPath } = server;
  const shared = JSON.stringify({ listen, admin, dataDir, logPath });
  note('cases', await runTests(files('cases'), 3, { E2E_SERVER: shared }));

  note('the server is alive after the cases', (await fetch(`${server.rest}/readyz`)).status === 200);
  const { code, signal } = await server.stop();
  note(`graceful stop (exit ${code ?? signal})`, code === 0);
  const panics = server.panics();
  note(`no panic in the server's log${panics.map((line) => `\n  ${line}`).join('')}`, panics.length === 0);
  const check = server.check();
  console.log(check.output.trimEnd());
  note("replay check of the cases' data", check.code === 0);
  if (check.code === 0 && panics.length === 0) server.removeData();
  else console.log(`data kept in ${server.dataDir}, log in ${server.logPath}`);

  await overEdgesAndCores(note);
  note('bad days', await runTests(files('bad-days'), 1));
  if (failures.length) console.log(`e2e: ${failures.length} part(s) failed`);
  else console.log('e2e: everything held');
  process.exit(failures.length ? 1 : 0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
