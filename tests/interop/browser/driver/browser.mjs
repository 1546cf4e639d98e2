// The browser: how it starts with devices that a test chose, its tabs, its end.

import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tab } from './page.mjs';

// What a machine without sound, camera, network or user needs, and nothing that hides a fault of a page.
const CHROMIUM = [
  '--no-sandbox', // root, in the namespace of the test
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-breakpad',
  '--disable-component-update',
  '--autoplay-policy=no-user-gesture-required', // as for who captures: a microphone of a test's own making is no capture
  '--allow-loopback-in-peer-connection',
  '--ignore-certificate-errors', // of a relay by TLS, too
];

const FIREFOX = {
  'media.autoplay.default': 0, // likewise
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.gmp-manager.updateEnabled': false,
};

// Which keys a word of `permissions` opens, per engine.
const DEVICES = ['microphone', 'camera'];

export class Browser {
  constructor(modules) {
    const require = createRequire(join(modules, 'driver'));
    this.puppeteer = require('puppeteer-core');
    this.axe = () => readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
    this.tabs = new Map();
  }

  async obey(verb, command) {
    switch (verb) {
      case 'start': return this.start(command);
      case 'open': return this.open(command);
      case 'kill': return this.kill();
      case 'close': {
        const tab = this.tab(command.page);
        this.tabs.delete(command.page);
        return tab.close(command);
      }
      default: return this.tab(command.page).obey(verb, command);
    }
  }

  tab(name) {
    const tab = this.tabs.get(name);
    if (!tab) throw new Error(`no page ${name}`);
    return tab;
  }

  async start(options) {
    this.options = options;
    mkdirSync(options.folder, { recursive: true });
    const launch = {
      browser: options.browser === 'firefox' ? 'firefox' : 'chrome',
      executablePath: options.executable,
      headless: true,
      acceptInsecureCerts: true,
      userDataDir: join(options.folder, 'profile'),
      // Caches, fonts, crash reports: nothing outside of the test's folder.
      env: { ...process.env, HOME: options.folder, XDG_CONFIG_HOME: options.folder, XDG_CACHE_HOME: options.folder },
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
      timeout: options.patience,
      defaultViewport: null,
    };
    if (options.browser === 'firefox') launch.extraPrefsFirefox = preferences(options);
    else launch.args = flags(options);
    this.handle = await this.puppeteer.launch(launch);
    this.process = this.handle.process();
    return { version: await this.handle.version(), pid: this.process.pid };
  }

  get isChromium() {
    return this.options.browser === 'chromium';
  }

  // Each page has a context of its own: its permissions, its storage.
  async open(command) {
    if (this.tabs.has(command.page)) throw new Error(`page ${command.page} is open`);
    const context = await this.handle.createBrowserContext();
    if (this.isChromium) await this.permit(context, command);
    const tab = new Tab(this, context, await context.newPage());
    await tab.prepare(command);
    this.tabs.set(command.page, tab);
    return tab.go(command);
  }

  // What is not granted is refused: nobody is there to be asked. Of a page without TLS, everything is.
  async permit(context, { url, permissions }) {
    const granted = permissions ?? this.options.permissions;
    const { origin, protocol, hostname } = new URL(url);
    const is_secure = protocol === 'https:' || ['127.0.0.1', 'localhost'].includes(hostname);
    await context.overridePermissions(origin, is_secure ? granted : []);
  }

  // No goodbye: as if the machine lost its power.
  kill() {
    if (!this.process?.pid) return;
    try {
      process.kill(-this.process.pid, 'SIGKILL');
    } catch {
      this.process.kill('SIGKILL');
    }
  }
}

function flags({ microphone, cameras, names, language, further = [] }) {
  const args = [...CHROMIUM, `--lang=${language}`, ...further];
  if (microphone || cameras) args.push(`--use-fake-device-for-media-stream=device-count=${cameras}`);
  if (names.length > 0) args.push(`--host-resolver-rules=${names.join(', ')}`);
  if (microphone) args.push(`--use-file-for-fake-audio-capture=${microphone.wav}`);
  else args.push('--disable-audio-input');
  return args;
}

function preferences({ microphone, cameras, names, language, colours, permissions, further = {} }) {
  if (names.length > 0 || cameras > 1) throw new Error("this browser's driver lacks: names, and a second camera");
  const refused = DEVICES.filter((device) => !permissions.includes(device));
  return {
    ...FIREFOX,
    'media.navigator.streams.fake': Boolean(microphone || cameras),
    'media.navigator.audio.fake_frequency': Math.round(microphone?.hz ?? 0),
    'media.navigator.permission.disabled': refused.length === 0,
    ...Object.fromEntries(refused.map((device) => [`permissions.default.${device}`, 2])),
    'intl.accept_languages': language,
    'layout.css.prefers-color-scheme.content-override': colours === 'dark' ? 0 : 1,
    ...further,
  };
}
