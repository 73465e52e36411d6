// Sums of selected rows by currency. They are exact: amounts are texts, and are added as whole numbers of any length.

/** The value of an amount as it is shown: an integer, and how many of its digits are decimals. */
export function exactOf(text, point) {
  const at = text.lastIndexOf(point);
  const [whole, fraction] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + point.length)];
  const digits = whole.replace(/\D/g, "") + fraction;
  const value = BigInt(digits || "0");
  return { value: /^[−-]/.test(text) ? -value : value, decimals: fraction.length };
}

/** The sum of such values. */
export function sumOf(amounts) {
  const decimals = amounts.reduce((most, one) => Math.max(most, one.decimals), 0);
  const value = amounts.reduce((sum, one) => sum + one.value * 10n ** BigInt(decimals - one.decimals), 0n);
  return { value, decimals };
}

/** A sum as text, with its sign: the usual decimals of its currency where the rest are zeros, else all of them. */
export function signedText({ value, decimals }, usual, point, language) {
  const digits = (value < 0n ? -value : value).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "").padEnd(usual, "0");
  const sign = value < 0n ? "−" : value > 0n ? "+" : "";
  return `${sign}${new Intl.NumberFormat(language).format(BigInt(whole))}${fraction ? point + fraction : ""}`;
}

/** The sums of rows, each `{ amount, currency, decimals }`, by currency: pairs of a currency and a text. */
export function sumsByCurrency(rows, point, language) {
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(row.currency)) groups.set(row.currency, []);
    groups.get(row.currency).push(row);
  }
  return [...groups].map(([currency, group]) => {
    const sum = sumOf(group.map((row) => exactOf(row.amount, point)));
    return [currency, signedText(sum, group[0].decimals, point, language)];
  });
}
