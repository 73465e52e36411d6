// A program that calls Alipay's own client for Node, `alipay-sdk`: a job as JSON on standard input, its results on
// standard output. The job is that of public.py. The client verifies answers only where it is told to.
const { AlipaySdk } = require("alipay-sdk");

async function resultOf(job, call) {
  const given = { ...job.credentials, ...call.credentials };
  const client = new AlipaySdk({
    appId: given.app_id,
    privateKey: given.app_private_key,
    keyType: "PKCS8",
    alipayPublicKey: given.alipay_public_key,
    gateway: `${job.url}/gateway.do`,
    ...(call.timeout_ms && { timeout: call.timeout_ms }),
  });
  const rows = [];
  let tries = call.tries ?? 0;
  const ask = async (bizContent) => {
    for (;;) {
      try {
        return await client.exec("alipay.data.bill.accountlog.query", { bizContent }, { validateSign: true });
      } catch (error) {
        if (!tries--) throw error;
      }
    }
  };
  for (let number = 1; number < 500; number++) {
    const page = await ask({ page_no: String(number), ...call.content });
    if (page.code !== "10000") return { kind: "answer", error: page.subCode, msg: page.subMsg };
    rows.push(...(page.detailList ?? []));
    if (!page.detailList || !call.drain) return { rows, pages: number, tries };
  }
}

async function main() {
  const job = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const results = [];
  const addResult = async (call) => {
    try {
      results.push(await resultOf(job, call));
    } catch (error) {
      results.push({ kind: error.name, error: null, msg: error.message });
    }
  };
  for (const call of job.calls) await addResult(call);
  process.stdout.write(JSON.stringify(results));
}

main();
