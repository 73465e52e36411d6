// The SimpleFIN handler of Actual Budget's server, taken out of its bundle and run alone: the whole server needs a native
// module. Express, the session and the store of secrets are replaced. Usage: BUNDLE SETUP_TOKEN START_DATE
import { readFileSync } from "node:fs";

const [bundle, setupToken, startDate] = process.argv.slice(2);
const text = readFileSync(bundle, "utf8");
const [, handler] = text.match(/\/\/#region src\/app-simplefin\/app-simplefin\.js\n([\s\S]*?)\n\/\/#endregion/);

const routes = {};
const express = () => ({ use() {}, post: (path, answer) => (routes[path] = answer) });
express.json = () => {};
const secrets = { simplefin_token: setupToken };
const secretsService = { get: (name) => secrets[name] ?? null, set: (name, value) => (secrets[name] = value) };
const SecretName = { simplefin_token: "simplefin_token", simplefin_accessKey: "simplefin_accessKey" };
const names = "express requestLoggerMiddleware validateSessionMiddleware handleError secretsService SecretName assertUrlAllowed console";
const quiet = { log: (...texts) => console.error(...texts) };
new Function(...names.split(" "), handler)(
  express, null, null, (answer) => answer, secretsService, SecretName, async () => {}, quiet,
);

const ask = (path, body) =>
  new Promise((resolve, reject) => Promise.resolve(routes[path]({ body }, { send: resolve })).catch(reject));

const status = await ask("/status", {});
const accounts = await ask("/accounts", {});
const ids = (accounts.data.accounts ?? []).map((account) => account.id);
const transactions = await ask("/transactions", { accountId: ids, startDate: ids.map(() => startDate) });
const missing = await ask("/transactions", { accountId: "nobody", startDate });
secrets.simplefin_accessKey = undefined;
const claimedAgain = await ask("/accounts", {});
console.log(JSON.stringify({ status, accounts, transactions, missing, claimedAgain }));
