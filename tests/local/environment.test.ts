import { describe, expect, test } from 'vitest';
import { fromEnvironment, WORKER_VARIABLES } from '../../local/environment.ts';
import { dotenvLine } from '../../local/wrangler.ts';

describe('the environment of npm start', () => {
  test('reaches the worker: what it knows, untouched, even when malformed or empty', () => {
    const env = {
      ADMIN_KEY: '',
      SLOW_QUERY_MS: 'abc',
      DATABASE_URL: 'no url',
      POSTMARK_BASE_URL: 'http://127.0.0.1:9/x',
      HOME: '/h',
      MIGRATE_DATABASE_URL: 'postgres://o@far.example/d',
    };
    expect(fromEnvironment(env)).toEqual({
      ADMIN_KEY: '',
      SLOW_QUERY_MS: 'abc',
      DATABASE_URL: 'no url',
      POSTMARK_BASE_URL: 'http://127.0.0.1:9/x',
    });
    expect(WORKER_VARIABLES).toContain('BOLNA_BASE_URL');
  });

  test('may name this machine in any of its ways', () => {
    const hosts = ['localhost', '127.0.0.1', '127.3.2.1', '[::1]'];
    for (const host of hosts) {
      expect(fromEnvironment({ DATABASE_URL: `postgres://a:b@${host}:5/d`, BOLNA_BASE_URL: `http://${host}:80` })).toHaveProperty(
        'BOLNA_BASE_URL',
      );
    }
  });

  const foreign: [name: string, value: string, host: string][] = [
    ['DATABASE_URL', 'postgres://a:b@db.neon.example/d', 'db.neon.example'],
    ['DATABASE_URL', 'postgres://a:b@127.0.0.1/d?host=evil.example', 'evil.example'],
    ['DATABASE_URL', 'postgres://a:b@127.0.0.1.evil.example/d', '127.0.0.1.evil.example'],
    ['BOLNA_BASE_URL', 'https://api.bolna.ai', 'api.bolna.ai'],
    ['POSTMARK_BASE_URL', 'https://127.0.0.1@api.postmarkapp.com', 'api.postmarkapp.com'],
    ['POSTMARK_BASE_URL', 'http://10.0.0.1', '10.0.0.1'],
  ];
  test('is refused in one line where it would leave this machine', () => {
    for (const [name, value, host] of foreign) {
      expect(() => fromEnvironment({ [name]: value }), value).toThrow(`${name} names the host "${host}"`);
    }
    expect(foreign).toHaveLength(6);
  });
});

describe('the file of variables', () => {
  test('refuses what no quoting can carry', () => {
    expect(() => dotenvLine('MAIL_FROM', 'a\nb')).toThrow('MAIL_FROM');
    expect(() => dotenvLine('MAIL_FROM', '\'`"')).toThrow('MAIL_FROM');
    expect(dotenvLine('MAIL_FROM', '"R & D" <a$b@c.example>')).toBe('MAIL_FROM=\'"R & D" <a\\$b@c.example>\'\n');
  });
});
