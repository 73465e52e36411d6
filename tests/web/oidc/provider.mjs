// An OpenID Connect provider for tests: the npm package oidc-provider, with a client and people of our own.
//
// argv: the client as JSON. It prints its address as a line of JSON once it listens. POST /test/state sets `people`
// (claims by login) and `tamper`: how its answers differ from what the package made of them.

import { createServer } from "node:http";
import { createHmac } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT, decodeJwt } from "jose";
import { Provider } from "oidc-provider";

const client = JSON.parse(process.argv[2]);
const state = { people: {}, tamper: "" };
const own = await generateKeyPair("RS256", { extractable: true });
const foreign = await generateKeyPair("RS256", { extractable: true });
const jwk = { ...(await exportJWK(own.privateKey)), kid: "own", alg: "RS256", use: "sig" };

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const signed = (claims, key = own.privateKey) =>
  new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "own" }).sign(key);
const now = () => Math.floor(Date.now() / 1000);

const TAMPERED = {
  "alg-none": (claims) => `${encode({ alg: "none" })}.${encode(claims)}.`,
  // The client's secret, and the public key, as secrets of an HMAC: what a confused verifier would accept.
  "alg-hmac": (claims) => hmac(claims, client.client_secret),
  "alg-hmac-public-key": async (claims) => hmac(claims, JSON.stringify(await exportJWK(own.publicKey))),
  "foreign-key": (claims) => signed(claims, foreign.privateKey),
  "changed": (claims, text) => {
    const [head, , signature] = text.split(".");
    return [head, encode({ ...claims, sub: "another" }), signature].join(".");
  },
  "expired": (claims) => signed({ ...claims, iat: now() - 7200, exp: now() - 3600 }),
  "just-expired": (claims) => signed({ ...claims, exp: now() - 20 }),
  "from-the-future": (claims) => signed({ ...claims, iat: now() + 3600, exp: now() + 7200 }),
  "nonce": (claims) => signed({ ...claims, nonce: "another" }),
  "no-nonce": ({ nonce, ...claims }) => signed(claims),
  "issuer": (claims) => signed({ ...claims, iss: "https://another.example" }),
  "audience": (claims) => signed({ ...claims, aud: "another" }),
  "second-audience": (claims) => signed({ ...claims, aud: [client.client_id, "another"], azp: "another" }),
  "no-subject": ({ sub, ...claims }) => signed(claims),
  "no-id-token": () => undefined,
};

function hmac(claims, secret) {
  const head = `${encode({ alg: "HS256", kid: "own" })}.${encode(claims)}`;
  return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
}

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    clients: [client],
    jwks: { keys: [jwk] },
    cookies: { keys: ["of the test"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username", "groups"] },
    pkce: { required: () => true },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Session: 600, Grant: 600, Interaction: 600 },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...state.people[id] }) }),
    loadExistingGrant: async (ctx) => {
      // Nobody is asked what the client may see.
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope("openid email profile");
      await grant.save();
      return grant;
    },
  });
  provider.use(async (ctx, next) => {
    if (ctx.path === "/test/state") {
      const parts = [];
      for await (const part of ctx.req) parts.push(part);
      Object.assign(state, JSON.parse(Buffer.concat(parts)));
      ctx.status = 204;
      return;
    }
    await next();
    if (ctx.path === "/token" && ctx.body?.id_token && state.tamper in TAMPERED) {
      const text = ctx.body.id_token;
      ctx.body = { ...ctx.body, id_token: await TAMPERED[state.tamper](decodeJwt(text), text) };
    }
    if (ctx.path === "/me" && state.tamper === "userinfo-subject") ctx.body = { ...ctx.body, sub: "another" };
    if (ctx.path === "/.well-known/openid-configuration") {
      if (state.tamper === "discovered-issuer") ctx.body = { ...ctx.body, issuer: "https://another.example" };
      if (state.tamper === "announces-none") {
        ctx.body = { ...ctx.body, id_token_signing_alg_values_supported: ["none", "HS256", "RS256"] };
      }
    }
  });
  server.on("request", provider.callback());
  process.stdin.on("end", () => process.exit()).resume(); // ends with the test, however that ends
  console.log(JSON.stringify({ url }));
});
