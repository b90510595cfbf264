'use strict';
// The disk is full: sends are refused in clear words, nothing acknowledged is lost, and space that returns is used
// without a restart.
const test = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { App } = require('../lib/app');
const { textOf } = require('../lib/raw');
const { Server, temporaryFolder } = require('../lib/server');
const { until } = require('../lib/wait');

const SIZE = '24m';

function mount(folder) {
  const done = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', folder], { encoding: 'utf8' });
  if (done.status !== 0) {
    throw new Error(`this test needs a small file system and may not mount one (run it as root): ${done.stderr || done.error}`);
  }
}

test('a full disk', { timeout: 5 * 60_000 }, async () => {
  const folder = temporaryFolder('small');
  mount(folder);
  let server;
  try {
    const dataDir = path.join(folder, 'data');
    fs.mkdirSync(dataDir);
    server = await Server.start({ dataDir });
    const app = await App.create({}, server);
    const alice = await app.raw('alice');
    await app.userToken('bob');
    const kept = [];
    const send = async (text) => {
      const answer = await alice.text('bob', text);
      if ((answer.status.errorCode ?? 0) === 0) kept.push({ id: answer.serverId, text: text.slice(0, 12) });
      return answer.status;
    };
    await send('before');

    // A ballast takes most of the space; messages take the rest.
    const ballast = path.join(folder, 'ballast');
    const { bavail, bsize } = fs.statfsSync(folder);
    const spare = 2 * 1024 * 1024;
    fs.writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - spare)));
    let refusal;
    for (let n = 0; n < 5000 && !refusal; n += 1) {
      const status = await send(`${n}`.padEnd(12) + crypto.randomBytes(1500).toString('hex'));
      if (status.errorCode) refusal = status;
    }
    assert.ok(refusal, 'the disk never filled');
    assert.deepEqual([refusal.errorCode, refusal.reason], [1, 'server storage is full']);
    const stored = kept.length;

    // REST says so as well, and reading still works.
    const rest = await app.call('POST', '/messages/users', { body: { from: 'alice', to: ['bob'], type: 'txt', body: { msg: 'x'.repeat(3000) } } });
    assert.ok([503, 507].includes(rest.status), `${rest.status} ${JSON.stringify(rest.body)}`);
    const form = new FormData();
    form.append('file', new File([Buffer.alloc(3_000_000)], 'big.bin'));
    const upload = await fetch(`${app.base}/chatfiles`, { method: 'POST', headers: { authorization: `Bearer ${await app.token()}` }, body: form });
    assert.ok([503, 507].includes(upload.status), `${upload.status}`);
    assert.equal((await fetch(`${server.rest}/healthz`)).status, 200);
    assert.equal((await app.call('GET', '/users/bob')).status, 200);

    // Space returns: the same process, the same socket.
    fs.rmSync(ballast);
    await until('sends are taken again', async () => !(await send('after')).errorCode, { ms: 30_000, every: 200 });
    assert.ok(kept.length > stored);

    const bob = await app.raw('bob');
    const got = await bob.drain('alice');
    assert.deepEqual(got.map((meta) => [meta.id, textOf(meta).slice(0, 12)]), kept.map((entry) => [entry.id, entry.text]));
    await app.close();
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    assert.deepEqual(server.panics(), []);
    const checked = server.check();
    assert.equal(checked.code, 0, checked.output);
    console.log(`${kept.length} acknowledged sends, ${stored} of them before the disk was full: all there`);
  } finally {
    await server?.kill();
    spawnSync('umount', [folder]);
    fs.rmSync(folder, { recursive: true, force: true });
  }
});

