// A program that calls Stripe's official client for Node: a job as JSON on standard input, its result on standard output.
const Stripe = require("stripe");

async function main() {
  const job = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const { hostname, port } = new URL(job.url);
  const client = new Stripe(job.key, { host: hostname, port, protocol: "http", telemetry: false });
  const rows = [];
  let error = null;
  try {
    for await (const row of client.balanceTransactions.list(job.params)) rows.push(row);
  } catch (refused) {
    error = [refused.type, refused.statusCode, refused.code ?? null, refused.param ?? null];
  }
  process.stdout.write(JSON.stringify({ rows, error }));
}

main();
