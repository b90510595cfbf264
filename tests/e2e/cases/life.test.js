'use strict';
// Start, stop and configuration of the binary.
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { fixture } = require('../lib/app');
const { Server, BINARY, cleanEnvironment, temporaryFolder } = require('../lib/server');
const { App } = require('../lib/app');
const { textOf, nextId } = require('../lib/raw');

const newApp = fixture(test);

async function withServer(options, body) {
  const server = await Server.start(options);
  try {
    await body(server);
  } finally {
    await server.kill();
    server.removeData();
  }
}

/** The demo app as a test app. */
function demo(server) {
  const { app_key: key, client_id: clientId, client_secret: clientSecret } = JSON.parse(
    fs.readFileSync(path.join(server.dataDir, 'demo-app.json'), 'utf8'),
  );
  const [org, name] = key.split('#');
  return Object.assign(new App(), { server, key, org, name, clientId, clientSecret, closers: [] });
}

test('the first start makes the demo app, keeps its secrets private, and alice writes to bob', async () => {
  await withServer({ name: 'demo' }, async (server) => {
    const file = path.join(server.dataDir, 'demo-app.json');
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    const app = demo(server);
    assert.equal(app.key, 'demo#chat');
    for (const username of ['alice', 'bob']) await app.ok('POST', '/users', { token: null, body: { username, password: `${username}-pw` } });
    const [alice, bob] = [app.client('alice'), app.client('bob')];
    await Promise.all([alice.open({ pwd: 'alice-pw' }), bob.open({ pwd: 'bob-pw' })]);
    await alice.text('bob', 'hello from the README');
    assert.equal((await bob.next('onTextMessage')).msg, 'hello from the README');
    await app.close();
  });
});

test('everything survives a stop and a start: users, tokens, waiting messages, files, idempotency', async () => {
  await withServer({ name: 'restart' }, async (server) => {
    const app = await newApp({}, server);
    await app.register('bob', 'pw');
    const token = await app.userToken('alice');
    const alice = await app.raw('alice', { token, resource: 'phone' });
    const id = nextId();
    const first = await alice.text('bob', 'before', { id });
    const form = new FormData();
    form.append('file', new File(['kept'], 'k.txt'));
    const { entities: [file] } = await (await fetch(`${app.base}/chatfiles`, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: form })).json();
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    const checked = server.check();
    assert.equal(checked.code, 0, checked.output);
    await server.start();
    const again = await app.raw('alice', { token, resource: 'phone' });
    assert.equal((await again.text('bob', 'before', { id })).serverId, first.serverId);
    assert.equal((await fetch(`${app.base}/chatfiles/${file.uuid}`)).status, 200);
    const bob = app.client('bob');
    await bob.open({ pwd: 'pw' });
    assert.equal((await bob.next('onTextMessage')).id, first.serverId);
    const after = await again.text('bob', 'after');
    assert.equal((await bob.next('onTextMessage', (message) => message.msg === 'after')).id, after.serverId);
    assert.ok(BigInt(after.serverId) > BigInt(first.serverId));
    await app.close();
  });
});

test('a stop drains: every send that was answered is there, sockets are closed, the exit code is 0', async () => {
  await withServer({ name: 'drain' }, async (server) => {
    const app = await newApp({}, server);
    await app.register('bob', 'pw');
    const senders = await Promise.all(['ann', 'ben', 'cat'].map((name) => app.raw(name)));
    const answered = [];
    let stopped = null;
    const loads = senders.map(async (sender) => {
      for (let n = 0; !stopped || n < 1; n += 1) {
        if (sender.socket.readyState !== 1) return;
        const id = sender.submitText('bob', `${n}`);
        const answer = await sender.answer(id, 20_000).catch(() => null);
        if (!answer) return;
        if ((answer.status.errorCode ?? 0) === 0) answered.push(answer.serverId);
      }
    });
    await senders[0].frames.when((frames) => frames.length > 50);
    const exit = server.stop();
    await Promise.all(senders.map((sender) => sender.closing(20_000)));
    stopped = true;
    assert.deepEqual(await exit, { code: 0, signal: null });
    assert.match(server.log, /stopped/);
    await Promise.allSettled(loads.map((load) => Promise.race([load, new Promise((r) => setTimeout(r, 100))])));
    await server.start();
    const bob = await app.raw('bob');
    const got = [];
    for (const name of ['ann', 'ben', 'cat']) got.push(...(await bob.drain(name)).map((meta) => meta.id));
    const missing = answered.filter((id) => !got.includes(id));
    assert.deepEqual(missing, []);
    assert.equal(new Set(got).size, got.length);
    await app.close();
  });
});

test('an SDK client comes back by itself after a restart on the same port', async () => {
  await withServer({ name: 'again' }, async (server) => {
    const app = await newApp({}, server);
    const [alice, bob] = await app.online('alice', 'bob');
    await server.stop();
    server.listenArg = server.listen;
    await server.start();
    await alice.next('onConnected', () => alice.seen('onConnected').length >= 2);
    const sent = await alice.text('bob', 'after the restart');
    assert.equal((await bob.next('onTextMessage')).id, sent.serverMsgId);
    await app.close();
  });
});

test('positions survive a restart: what a device acknowledged does not come again', async () => {
  await withServer({ name: 'positions' }, async (server) => {
    const app = await newApp({}, server);
    const [alice] = await app.online('alice');
    const bob = (await app.raw('bob', { resource: 'phone' })).autoAcknowledge();
    for (let n = 0; n < 20; n += 1) await alice.text('bob', `${n}`);
    await bob.receive(20);
    await app.caughtUp('bob');
    await server.stop();
    await server.start();
    const again = await app.raw('bob', { resource: 'phone' });
    assert.deepEqual(again.listed.unread ?? [], []);
    await app.close();
  });
});

test('a wrong configuration stops the start and names the key', () => {
  const run = (args, env) => spawnSync(BINARY, args, { env: cleanEnvironment(env), encoding: 'utf8', timeout: 20_000 });
  const folder = temporaryFolder('config');
  const file = path.join(folder, 'bad.toml');
  fs.writeFileSync(file, 'lisen = "127.0.0.1:0"\n');
  for (const [args, env, key] of [
    [['serve', '--config', file], {}, 'lisen'],
    [['serve', '--listen', 'nowhere', '--data-dir', folder], {}, 'listen'],
    [['serve', '--data-dir', folder], { MERIDIAN_GATEWAY_IDLE_S: 'soon' }, 'MERIDIAN_GATEWAY_IDLE_S'],
    [['serve', '--data-dir', folder], { MERIDIAN_NONSENSE: '1' }, 'MERIDIAN_NONSENSE'],
  ]) {
    const done = run(args, env);
    assert.notEqual(done.status, 0);
    assert.ok(done.stderr.includes(key), `${key}: ${done.stderr}`);
  }
  fs.rmSync(folder, { recursive: true });
});

test('two servers on one data folder: the second does not corrupt the first', async () => {
  await withServer({ name: 'twice' }, async (server) => {
    const app = await newApp({}, server);
    const [alice] = await app.online('alice');
    await alice.text('bob', 'one');
    const before = fs.readFileSync(path.join(server.dataDir, 'listening.json'), 'utf8');
    const done = spawnSync(BINARY, ['serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--data-dir', server.dataDir], { env: cleanEnvironment(), encoding: 'utf8', timeout: 8_000 });
    assert.ok(done.status !== 0, `the second start ended with ${done.status} ${done.signal}`);
    assert.notEqual(done.error?.code, 'ETIMEDOUT', 'the second server ran on the same data');
    assert.equal(fs.readFileSync(path.join(server.dataDir, 'listening.json'), 'utf8'), before);
    await alice.text('bob', 'two');
    const bob = await app.raw('bob');
    assert.deepEqual((await bob.drain('alice')).map(textOf), ['one', 'two']);
    await app.close();
  });
});

test('the log has no token, password or message text', async () => {
  await withServer({ name: 'quiet', env: { MERIDIAN_LOG_LEVEL: 'debug' } }, async (server) => {
    const app = await newApp({}, server);
    await app.register('alice', 'pa55word-secret');
    const token = await app.userToken('alice');
    const alice = app.client('alice');
    await alice.open({ pwd: 'pa55word-secret' });
    await alice.text('bob', 'a very private text');
    await app.call('GET', '/users/alice', { token: `${token}x` });
    await app.close();
    for (const secret of ['pa55word-secret', 'a very private text', token, app.clientSecret]) {
      assert.ok(!server.log.includes(secret), secret);
    }
  });
});
