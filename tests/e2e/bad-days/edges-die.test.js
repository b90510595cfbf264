'use strict';
// Edges are killed under SDK clients, which come back by themselves through the load balancer to the other edge, and under a
// JSON client that resumes. The application sends a rejected message again. Nothing is lost, doubled or out of order.

const test = require('node:test');
const assert = require('node:assert/strict');
const { App } = require('../lib/app');
const { Cores } = require('../lib/cores');
const { Proxy } = require('../lib/proxy');
const { Json } = require('../lib/json');
const { until } = require('../lib/wait');

const ROUNDS = Number(process.env.E2E_EDGE_ROUNDS || 4);
/** Messages each way per round before the kill. */
const PER_ROUND = 30;

test(`edges die ${ROUNDS} times under the SDK and a JSON client`, { timeout: 240_000 }, async () => {
  const cores = await Cores.start({ cores: 2, edges: 2 });
  const balancer = await Proxy.to(cores.edges[0].listen);
  const [{ admin, dataDir, logPath }] = cores.servers;
  const attached = Object.assign(Object.create(Object.getPrototypeOf(cores.servers[0])), { admin, dataDir, logPath, listen: cores.edges[1].listen });
  const app = await App.create({}, attached);
  const tokens = { alice: await app.userToken('alice'), bob: await app.userToken('bob'), carol: await app.userToken('carol') };
  const options = { url: balancer.url, deviceId: 'phone' };
  const [alice, bob] = [app.client('alice', options), app.client('bob', options)];
  await alice.open({ accessToken: tokens.alice });
  await bob.open({ accessToken: tokens.bob });

  let ends = false;
  const sent = { alice: [], bob: [] };
  const write = async (from, to) => {
    for (let n = 1; !ends; n += 1) {
      const message = from.message('txt', to.username, { msg: `${n}` });
      for (;;) {
        const done = await from.conn.send(message).catch(() => null);
        if (done) {
          sent[from.username].push({ id: done.serverMsgId, n });
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };
  const writing = [write(alice, bob), write(bob, alice)];

  // Carol listens to both by the open protocol, as somebody who is written to.
  const positions = {};
  const heard = [];
  const connectCarol = async () => {
    const carol = await Json.connect(app, 'carol', tokens.carol, { url: balancer.url.replace('/websocket', '/ws/v1'), device: 'tab', positions });
    const take = carol.frames.push.bind(carol.frames);
    heard.push(...carol.heard('message'));
    carol.frames.push = (frame) => {
      if (frame.type === 'message') heard.push(frame);
      take(frame);
    };
    carol.socket.once('close', () => ends || retryCarol());
  };
  const retryCarol = () => connectCarol().catch(() => setTimeout(retryCarol, 200));
  await connectCarol();
  const toCarol = [];
  const tell = async () => {
    for (let n = 1; !ends; n += 1) {
      const answer = await app.call('POST', '/messages/users', { body: { from: 'alice', to: ['carol'], type: 'txt', body: { msg: `${n}` } } }).catch(() => ({}));
      if (answer.status === 200) toCarol.push(answer.body.data.carol);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const telling = tell();

  let here = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    const before = [sent.alice.length, sent.bob.length];
    await until('messages flow both ways', () => sent.alice.length >= before[0] + PER_ROUND && sent.bob.length >= before[1] + PER_ROUND, { ms: 60_000 });
    const [dying, other] = [cores.edges[here], cores.edges[1 - here]];
    balancer.target = other.listen;
    attached.listen = other.listen;
    await dying.kill();
    here = 1 - here;
    await dying.start();
  }
  const before = sent.alice.length;
  await until('messages flow at the end', () => sent.alice.length >= before + PER_ROUND, { ms: 60_000 });
  ends = true;
  await Promise.all([...writing, telling]);

  for (const [from, to] of [[alice, bob], [bob, alice]]) {
    const ids = sent[from.username].map(({ id }) => id);
    const got = () => [...new Set(to.seen('onTextMessage', (message) => message.from === from.username).map((message) => message.id))];
    await until(`${to.username} has everything`, () => got().length >= ids.length, { ms: 30_000 });
    assert.deepEqual(got(), ids);
    console.log(`${ids.length} of ${from.username} arrived`);
  }
  const wanted = new Set(toCarol);
  const told = () => [...new Set(heard.map((frame) => frame.message))].filter((id) => wanted.has(id));
  await until('carol has everything', () => told().length === toCarol.length, { ms: 30_000 });
  assert.deepEqual(told(), toCarol);
  console.log(`${toCarol.length} of REST arrived at the JSON client`);
  await Promise.all([alice.close(), bob.close()]);
  balancer.close();
  for (const server of [...cores.edges, ...cores.servers]) assert.deepEqual(await server.stop(), { code: 0, signal: null });
  await cores.end();
});
