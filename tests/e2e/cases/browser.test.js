'use strict';
// A real browser: two tabs with the SDK's own bundle chat through the server, from another origin.
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { fixture } = require('../lib/app');
const { launch } = require('../lib/browser');
const { png } = require('../lib/media');

const newApp = fixture(test);
const ARTIFACTS = path.join(__dirname, '../artifacts');
/** The page and the bundle, on an origin of their own. */
async function serve() {
  const files = {
    '/': [path.join(__dirname, '../browser/page.html'), 'text/html'],
    '/Easemob-chat.js': [require.resolve('easemob-websdk'), 'text/javascript'],
  };
  const server = http.createServer((request, response) => {
    const [file, type] = files[request.url] || [];
    // The browser asks for an icon by itself.
    if (!file) return response.writeHead(request.url === '/favicon.ico' ? 204 : 404).end();
    response.writeHead(200, { 'content-type': type });
    return fs.createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

test('two tabs chat, a picture is sent and shown, and a message is taken back', { timeout: 120_000 }, async () => {
  const app = await newApp();
  const site = await serve();
  const browser = await launch();
  try {
    const context = await browser.newContext({ viewport: { width: 640, height: 640 } });
    const outside = [];
    const problems = [];
    context.on('request', (request) => {
      const { hostname, protocol } = new URL(request.url());
      if (/^(http|ws)/.test(protocol) && hostname !== '127.0.0.1') outside.push(request.url());
    });
    const open = async (user) => {
      const page = await context.newPage();
      page.on('pageerror', (error) => problems.push(String(error)));
      page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
      await page.goto(site.url);
      const options = { appKey: app.key, url: app.server.socket, apiUrl: app.server.rest, user, accessToken: await app.userToken(user) };
      await page.evaluate((login) => window.login(login), options);
      return page;
    };
    const [alice, bob] = [await open('alice'), await open('bob')];

    await alice.evaluate(() => window.say('bob', 'hello from the first tab'));
    await bob.getByText('alice: hello from the first tab').waitFor();
    await bob.evaluate(() => window.say('alice', 'hello back, 你好'));
    await alice.getByText('bob: hello back, 你好').waitFor();

    await alice.locator('#file').setInputFiles({ name: 'red.png', mimeType: 'image/png', buffer: png(320, 200) });
    await alice.evaluate(() => window.sendPicture('bob'));
    const picture = bob.locator('img');
    await picture.waitFor();
    await bob.waitForFunction(() => {
      const image = document.querySelector('img');
      return image.complete && image.naturalWidth > 0;
    });
    assert.ok((await picture.evaluate((image) => image.naturalWidth)) <= 170, 'the thumbnail is shown');

    const id = await alice.evaluate(() => window.say('bob', 'oops'));
    await bob.getByText('alice: oops').waitFor();
    await alice.evaluate((mid) => window.conn.recallMessage({ mid, to: 'bob', chatType: 'singleChat' }), id);
    await bob.getByText('alice took a message back').waitFor();

    fs.mkdirSync(ARTIFACTS, { recursive: true });
    for (const [name, page] of Object.entries({ alice, bob })) {
      const file = path.join(ARTIFACTS, `two-tabs-${name}.png`);
      await page.screenshot({ path: file });
      assert.ok(fs.statSync(file).size > 5000);
    }
    assert.deepEqual(problems, []);
    assert.deepEqual(outside, []);
  } finally {
    await browser.close();
    site.close();
  }
});
