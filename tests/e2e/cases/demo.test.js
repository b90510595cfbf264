'use strict';
// The demo page of a fresh server, as a person would use it: two tabs, a message, a picture, receipts, a restart.
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { launch } = require('../lib/browser');
const { png } = require('../lib/media');
const { Server, ROOT } = require('../lib/server');

const ARTIFACTS = path.join(__dirname, '../artifacts');

test('two tabs chat on a fresh server, and go on after it restarts', { timeout: 120_000 }, async () => {
  const server = await Server.start({ name: 'demo' });
  const browser = await launch();
  try {
    const context = await browser.newContext({ viewport: { width: 760, height: 560 } });
    const problems = [];
    const open = async (name, peer) => {
      const page = await context.newPage();
      page.on('pageerror', (error) => problems.push(String(error)));
      await page.goto(`http://${server.listen}/`);
      await page.fill('#name', name);
      await page.click('#login-form button');
      await page.getByText('online', { exact: true }).waitFor();
      await page.fill('#peer', peer);
      await page.press('#peer', 'Enter');
      return page;
    };
    const write = async (page, text) => {
      await page.fill('#text', text);
      await page.press('#text', 'Enter');
    };
    const [ann, ben] = [await open('ann', 'ben'), await open('ben', 'ann')];
    await write(ann, 'hello <b>ben</b>');
    await ben.getByText('hello <b>ben</b>').waitFor();
    await write(ben, 'hello ann, 你好');
    await ann.getByText('hello ann, 你好').waitFor();
    await ann.setInputFiles('#file', { name: 'red.png', mimeType: 'image/png', buffer: png(320, 200) });
    await ben.waitForFunction(() => document.querySelector('.message:not(.own) img')?.naturalWidth === 320);
    await ann.locator('.own small', { hasText: '✓✓' }).first().waitFor();

    const [, port] = server.listen.split(':');
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    await ann.getByText('reconnecting …').waitFor();
    await write(ann, 'written while it was away');
    server.listenArg = `127.0.0.1:${port}`;
    await server.start();
    await ben.getByText('written while it was away').waitFor({ timeout: 60_000 });
    await ben.screenshot({ path: path.join(ARTIFACTS, 'demo.png') });
    const texts = await ben.locator('.message:not(.own)').allInnerTexts();
    assert.equal(texts.filter((text) => text.includes('written while')).length, 1);
    assert.deepEqual(problems, []);
    await ann.reload();
    await ann.getByText('online', { exact: true }).waitFor();
  } finally {
    await browser.close();
    await server.kill();
    server.removeData();
  }
});

test('the chat of 40 lines in the protocol\'s README works as it is printed', { timeout: 60_000 }, async () => {
  const readme = fs.readFileSync(path.join(ROOT, 'gateway/src/protocols/json/README.md'), 'utf8');
  const [, html] = /```html\n([\s\S]*?)```/.exec(readme);
  assert.ok(html.trim().split('\n').length <= 40, 'it has more than 40 lines');
  const server = await Server.start({ name: 'forty' });
  const browser = await launch();
  // As a page of one's own would be: from elsewhere, with the server's address put in.
  const page = html.replace('location.host', `'${server.listen}'`);
  const site = http.createServer((_, response) => response.setHeader('content-type', 'text/html; charset=utf-8').end(page));
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  try {
    const open = async (name) => {
      const page = await (await browser.newContext()).newPage();
      page.on('dialog', (dialog) => dialog.accept(name));
      // Only who is registered can be written to.
      const registered = page.waitForResponse(/\/token$/);
      await page.goto(`http://127.0.0.1:${site.address().port}/`);
      await registered;
      return page;
    };
    const say = async (page, to, text) => {
      await page.fill('#to', to);
      await page.fill('#text', text);
      await page.click('button');
    };
    const [ann, ben] = [await open('ann'), await open('ben')];
    await say(ann, 'ben', 'forty lines');
    await ben.getByText('ann: forty lines').waitFor();
    await say(ben, 'ann', 'are enough');
    await ann.getByText('ben: are enough').waitFor();
    await server.stop();
    await say(ann, 'ben', 'while it was away');
    server.listenArg = server.listen;
    await server.start();
    await ben.getByText('ann: while it was away').waitFor({ timeout: 30_000 });
  } finally {
    site.close();
    await browser.close();
    await server.kill();
    server.removeData();
  }
});

test('without the demo app there is no page', async () => {
  const server = await Server.start({ name: 'no-demo', env: { MERIDIAN_DEMO_APP: 'false' } });
  try {
    assert.equal((await fetch(`http://${server.listen}/`)).status, 404);
    assert.equal((await fetch(`http://${server.listen}/demo/chat.js`)).status, 404);
  } finally {
    await server.kill();
    server.removeData();
  }
});
