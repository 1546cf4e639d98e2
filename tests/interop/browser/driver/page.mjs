// One tab: what a guest does in it, and what a test wants to know of it.

import { readFileSync } from 'node:fs';
import { Log } from './log.mjs';

const INSIDE = readFileSync(new URL('./inside.js', import.meta.url), 'utf8');

// What differs between the engines is refused by name, so that no test believes what was not done.
const lacks = (what) => {
  throw new Error(`this browser's driver lacks: ${what}`);
};

export class Tab {
  constructor(browser, context, page) {
    this.browser = browser;
    this.context = context;
    this.page = page;
    this.log = new Log(page);
  }

  async prepare({ url, viewport, language, colours, lacking = [] }) {
    const { page } = this;
    await page.evaluateOnNewDocument(`(${INSIDE})(${JSON.stringify({ lacking })})`);
    const { width = 1280, height = 800, phone = false } = viewport ?? {};
    const shape = { width, height, deviceScaleFactor: phone ? 2 : 1, isMobile: phone, hasTouch: phone };
    if (!this.browser.isChromium) {
      if (language || colours) lacks('a language or colours for one page; both are options of its start');
      await page.setViewport({ width, height });
      return this.log.begin(url, null);
    }
    await page.setViewport(shape);
    this.cdp = await page.createCDPSession();
    await this.cdp.send('Emulation.setUserAgentOverride', {
      userAgent: await this.browser.handle.userAgent(),
      acceptLanguage: language ?? this.browser.options.language,
    });
    await page.emulateMediaFeatures([
      { name: 'prefers-color-scheme', value: colours ?? this.browser.options.colours },
    ]);
    return this.log.begin(url, this.cdp);
  }

  async go({ url, patience }) {
    const response = await this.page.goto(url, { waitUntil: 'load', timeout: patience });
    return { status: response?.status() ?? 0, headers: response?.headers() ?? {} };
  }

  obey(verb, command) {
    const verbs = {
      go: () => this.go(command),
      wait: () => this.wait(command),
      click: () => this.click(command),
      type: () => this.type(command),
      press: () => this.page.keyboard.press(command.key),
      resize: () => this.page.setViewport({ width: command.width, height: command.height }),
      screenshot: () => this.screenshot(command),
      evaluate: () => this.evaluate(command),
      probe: () => this.probe(command),
      log: () => this.log.read(),
      axe: () => this.axe(command),
      offline: () => this.offline(command),
      frames_sent: () => this.log.frames(),
    };
    if (!verbs[verb]) throw new Error(`unknown: ${verb}`);
    return verbs[verb]();
  }

  // The document that a command is about: the page's own, or that of an iframe in it.
  async frame({ frame }) {
    if (!frame) return this.page.mainFrame();
    const element = await this.page.waitForSelector(frame);
    return element.contentFrame();
  }

  // Until a selector is there and seen, a text stands on the page, or `data-state` of the page's root is one
  // of these words.
  async wait(command) {
    const { selector, text, states, patience } = command;
    const frame = await this.frame(command);
    const options = { timeout: patience, polling: 50 };
    try {
      if (selector) await frame.waitForSelector(selector, { visible: true, timeout: patience });
      if (text) await frame.waitForFunction((words) => document.body?.innerText.includes(words), options, text);
      if (states) {
        const found = await frame.waitForFunction((words) => {
          const state = document.querySelector('[data-state]')?.dataset.state;
          return words.includes(state) && state;
        }, options, states);
        return await found.jsonValue();
      }
      return null;
    } catch (error) {
      throw new Error(`${selector ?? text ?? states} did not come: ${error.message}\n${await this.shown(frame)}`);
    }
  }

  // For the message of a test that failed.
  async shown(frame) {
    const shown = await frame
      .evaluate(() => ({
        url: location.href,
        states: window.__probe?.states,
        text: document.body?.innerText.slice(0, 1500),
      }))
      .catch((error) => String(error));
    const { console: lines, failed, violations } = this.log.read();
    return JSON.stringify({ shown, lines, failed, violations }, null, 1);
  }

  async click(command) {
    const frame = await this.frame(command);
    const element = await frame.waitForSelector(command.selector, { visible: true, timeout: command.patience });
    await element.click();
  }

  async type(command) {
    const frame = await this.frame(command);
    const element = await frame.waitForSelector(command.selector, { visible: true, timeout: command.patience });
    await element.type(command.text);
  }

  async screenshot({ path, full = true }) {
    await this.page.screenshot({ path, fullPage: full });
  }

  // The body of an async function with `argument`. As text: what a page forbids itself (`unsafe-eval`) binds
  // no debugger.
  async evaluate(command) {
    const frame = await this.frame(command);
    return frame.evaluate(`(async (argument) => {${command.body}})(${JSON.stringify(command.argument ?? null)})`);
  }

  async probe(command) {
    const frame = await this.frame(command);
    return frame.evaluate((name, options) => window.__probe[name](options), command.name, command.options ?? {});
  }

  async axe(command) {
    const frame = await this.frame(command);
    await frame.evaluate(this.browser.axe());
    return frame.evaluate(async () => {
      const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
      return violations.map(({ id, impact, help, nodes }) => ({
        id,
        impact,
        help,
        nodes: nodes.map(({ target, failureSummary }) => ({ target: target.join(' '), why: failureSummary })),
      }));
    });
  }

  async offline({ on }) {
    if (!this.browser.isChromium) lacks('taking the network away from one page');
    await this.page.setOfflineMode(on);
  }

  // `goodbye`: as a user closes a tab, with what the page wants to say on its way out.
  async close({ goodbye = false }) {
    await this.page.close({ runBeforeUnload: goodbye });
    if (!goodbye) await this.context.close();
  }
}
