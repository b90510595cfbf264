'use strict';
// The server's check list of the protocol, line by line, on a bare socket.
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { Server } = require('../lib/server');
const { COMMAND, encode } = require('../lib/raw');
const { until } = require('../lib/wait');

const newApp = fixture(test);

test('1: before PROVISION nothing is served: the socket is closed, and nothing was sent', async () => {
  const app = await newApp();
  for (const frame of [
    (raw) => raw.frame(COMMAND.UNREAD),
    (raw) => raw.submitText('bob', 'x'),
    (raw) => raw.ask('bob'),
  ]) {
    const raw = await app.raw('alice', { login: false });
    frame(raw);
    await raw.closing();
    assert.deepEqual(raw.frames.all().filter((seen) => seen.body.metas?.length || seen.body.serverId), []);
  }
});

test('1: the user is bound to the socket: a body in another name is refused', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const bob = (await app.raw('bob')).autoAcknowledge();
  const id = alice.submit('bob', { from: { name: 'carol' }, contents: [{ type: 0, text: 'forged' }] });
  assert.notEqual((await alice.answer(id)).status.errorCode ?? 0, 0);
  const other = alice.submit('bob', { to: { name: 'carol' }, contents: [{ type: 0, text: 'forged' }] });
  assert.notEqual((await alice.answer(other)).status.errorCode ?? 0, 0);
  await alice.text('bob', 'real');
  const [meta] = await bob.receive(1);
  assert.equal(meta.message.contents[0].text, 'real');
});

test('1: a Meta.from of the sender\'s making is replaced by the truth', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const bob = (await app.raw('bob')).autoAcknowledge();
  await alice.text('bob', 'x', { from: { appKey: app.key, name: 'carol', domain: 'easemob.com', clientResource: 'r' } });
  const [meta] = await bob.receive(1);
  assert.deepEqual([meta.from.name, meta.from.clientResource], ['alice', alice.resource]);
});

test('1: every frame from the server is binary', async () => {
  const app = await newApp();
  const bob = await app.raw('bob');
  await bob.text('alice', 'x');
  assert.ok(bob.frames.all().every((frame) => frame.binary));
});

test('2: PROVISION answers with a status, the resource and an absolute expiry; compression is declined', async () => {
  const app = await newApp();
  const raw = await app.raw('alice', { login: false, resource: 'webim_web_77' });
  const answer = await raw.login(await app.userToken('alice', 600));
  assert.ok(answer.status);
  assert.equal(answer.resource, 'webim_web_77');
  const expiry = JSON.parse(answer.authToken).expires_in;
  assert.ok(Math.abs(expiry - Date.now() - 600_000) < 10_000);
  assert.deepEqual(answer.protocolCompressType ?? [], []);
});

test('2: a token that never ends announces no expiry', async () => {
  const app = await newApp();
  const raw = await app.raw('alice', { login: false });
  const answer = await raw.login(await app.userToken('alice', 0));
  assert.equal(answer.status.errorCode ?? 0, 0);
  assert.ok(!answer.authToken || JSON.parse(answer.authToken).expires_in > Date.now() + 1e11);
});

test('2: the token may come in `authToken` instead of `auth`', async () => {
  const app = await newApp();
  const raw = await app.raw('alice', { login: false });
  const answer = await raw.login(await app.userToken('alice'), { auth: '' });
  assert.equal(answer.status.errorCode ?? 0, 0);
});

test('3: every chat and MUC item is answered with its metaId, whatever it is', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const sent = await alice.text('bob', 'x');
  const body = { contents: [{}] };
  const ids = [
    alice.submit('bob', { ...body, type: 4, ackMessageId: sent.serverId }),
    alice.submit('bob', { ...body, type: 5, ackMessageId: sent.serverId }),
    alice.submit('bob', { ...body, type: 7 }),
    alice.submit('bob', { ...body, type: 8, editMessageId: sent.serverId, contents: [{ type: 0, text: 'y' }] }),
    alice.submit('bob', { ...body, type: 6, ackMessageId: sent.serverId }),
    alice.submit('bob', { ...body, type: 6, ackMessageId: '12345' }),
    alice.submit('bob', { ...body, type: 2 }),
    alice.submit('bob', Buffer.from('ffffffff', 'hex')),
    alice.submit('bob', Buffer.alloc(0)),
    alice.submit('123', { contents: [{ type: 0, text: 'g' }], type: 2 }, { to: alice.jid('123', 'conference.easemob.com') }),
    alice.submit('r', encode('MUCBody', { mucId: alice.jid('r'), operation: 2, isChatroom: true }), { ns: 2 }),
    alice.submit('r', encode('MUCBody', { mucId: alice.jid('r'), operation: 3, isChatroom: true }), { ns: 2 }),
    alice.submit('r', Buffer.from('ff', 'hex'), { ns: 2 }),
    alice.submit('', { contents: [{ type: 0, text: 'nowhere' }] }),
    alice.submit('a b', { contents: [{ type: 0, text: 'bad name' }] }),
  ];
  for (const id of ids) {
    const answer = await alice.answer(id);
    assert.ok(answer.status, `${id}`);
    assert.equal(answer.queue, undefined);
  }
});

test('3: a statistics ping is not answered with an error', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  alice.submit('', encode('StatisticsBody', { operation: 0 }), { ns: 0, to: undefined });
  await alice.text('bob', 'after');
  const answers = alice.frames.all((frame) => frame.command === 0 && frame.body.status?.errorCode);
  assert.deepEqual(answers, []);
});

test('6: payload verbatim, Meta.id is the server id, Meta.timestamp its time', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const bob = (await app.raw('bob')).autoAcknowledge();
  const answer = await alice.text('bob', 'x');
  const [meta] = await bob.receive(1);
  assert.deepEqual([meta.id, meta.timestamp, meta.ns], [answer.serverId, answer.timestamp, 1]);
});

test('7: Meta.meta and the JSON of an edit are compact, without any byte below 0x20', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const bob = (await app.raw('bob')).autoAcknowledge();
  const sent = await alice.text('bob', 'x');
  const id = alice.submit('bob', { type: 8, editMessageId: sent.serverId, editScope: 1, contents: [{ type: 0, text: 'y' }] });
  const answer = await alice.answer(id);
  const items = await bob.receive(2);
  const notify = answer.metas[0];
  assert.equal(notify.ns, 5);
  const { edit_msg: edit } = JSON.parse(notify.payload);
  assert.deepEqual(
    [edit.count, edit.operator, edit.sender, edit.chat_type, Number(edit.send_time)],
    [1, 'alice', 'alice', 'chat:user', Number(sent.timestamp)],
  );
  assert.deepEqual(JSON.parse(items[1].message.meta).edit_msg, edit);
  for (const bytes of [notify.payload, ...items.map((item) => item.meta)]) {
    assert.ok(bytes.every((byte) => byte >= 0x20));
    assert.doesNotThrow(() => JSON.parse(bytes));
  }
});

test('8: a refused login gets its answer and then the close', async () => {
  const app = await newApp();
  await app.userToken('alice');
  const raw = await app.raw('alice', { login: false });
  const answer = await raw.login('nonsense');
  assert.deepEqual([answer.status.errorCode, answer.status.reason], [1, 'Sorry, token or password does not match login info']);
  await raw.closing();
});

test('8: the refusals by number and exact text', async () => {
  const app = await newApp();
  const token = await app.userToken('alice');
  await app.userToken('bob');
  const stale = app.dynamicToken('alice', { at: 1000, ttl: 50 });
  const status = async (credential, options) => {
    const raw = await app.raw('alice', { login: false });
    const { status: said } = await raw.login(credential, options);
    await raw.closing();
    return [said.errorCode, said.reason];
  };
  assert.deepEqual(await status(stale), [1, 'Sorry, token expired']);
  assert.deepEqual(await status(token, { user: 'bob' }), [1, 'Sorry, token or password does not match login info']);
  assert.deepEqual(await status(app.dynamicToken('ghost'), { user: 'ghost' }), [1, 'Sorry, user not found']);
  assert.equal((await status(token, { provision: { resource: 'a/b' } }))[0], 4);
  await app.ok('POST', '/users/alice/deactivate');
  assert.equal((await status(token))[0], 12);
});

test('10: UNREAD is always answered, with the time', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  for (let n = 0; n < 20; n += 1) {
    const answer = await alice.unread();
    assert.ok(answer.status);
    assert.ok(Math.abs(Number(answer.timestamp) - Date.now()) < 10_000);
  }
});

test('10: a socket that closes without a word is offline', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  const status = async () => (await app.ok('GET', '/users/alice/status')).data.alice;
  assert.equal(await status(), 'online');
  alice.close();
  await until('alice is offline', async () => (await status()) === 'offline');
});

test('10: pings keep a line that answers; one that does not is closed', async () => {
  const server = await Server.start({ name: 'idle', env: { MERIDIAN_GATEWAY_PING_S: '1', MERIDIAN_GATEWAY_PONG_S: '2', MERIDIAN_GATEWAY_IDLE_S: '3' } });
  try {
    const app = await newApp({}, server);
    const lively = await app.raw('alice');
    const dead = await app.raw('bob');
    dead.socket.pong = () => {};
    dead.socket._receiver.removeAllListeners('ping');
    await dead.closing(10_000);
    await until('several pings', () => lively.pings >= 3);
    assert.equal(lively.closed.all().length, 0);
    await lively.text('bob', 'still here');
  } finally {
    await server.kill();
    server.removeData();
  }
});

test('LOGOUT ends the session', async () => {
  const app = await newApp();
  const alice = await app.raw('alice');
  alice.frame(COMMAND.LOGOUT, encode('Logout', { sessionId: '1:', reason: 'inner:logout' }), { guid: alice.jid() });
  await until('alice is offline', async () => (await app.ok('GET', '/users/alice/status')).data.alice === 'offline');
});

test('a password in the login frame itself logs in, for the clients that send one', async () => {
  const app = await newApp();
  await app.register('alice', 'pw-in-frame');
  const good = await app.raw('alice', { login: false });
  const said = await good.login('', { auth: '', provision: { authToken: '', password: 'pw-in-frame' } });
  assert.equal(said.status.errorCode ?? 0, 0, JSON.stringify(said));
  const bad = await app.raw('alice', { login: false });
  const refused = await bad.login('', { auth: '', provision: { authToken: '', password: 'guess' } });
  assert.equal(refused.status.errorCode, 1);
  await bad.closing();
});
