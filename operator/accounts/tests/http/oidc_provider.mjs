// The npm package oidc-provider with one client, and people who are who they say.
// node oidc_provider.mjs FOLDER: prints its issuer when it serves.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = join(process.argv[2], 'node_modules/oidc-provider/lib/index.js');
const { default: Provider } = await import(pathToFileURL(folder).href);

const people = {
  jane: { preferred_username: 'jane', name: 'Jane Doe', groups: ['dev', 'ops'],
    email: 'jane@example.com', email_verified: true },
  joe: { email: 'joe.doe@example.com', email_verified: true, groups: [] },
  mallory: { email: 'admin@example.com', email_verified: false, groups: ['ops'] },
};

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), kid: 'rsa', use: 'sig', alg: 'RS256' };

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: 'hades', client_secret: 'planted-client-secret',
      redirect_uris: ['https://hades.example:7443/login/oidc/sso/callback'] }],
    claims: { openid: ['sub'], profile: ['preferred_username', 'name', 'groups'],
      email: ['email', 'email_verified'] },
    cookies: { keys: ['of this test'] },
    jwks: { keys: [key] },
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
