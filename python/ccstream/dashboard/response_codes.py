"""Says what response codes mean.

The codes are those of field 39 of ISO 8583:1987. A processor's own codes have no meaning here.
"""

from __future__ import annotations

RESPONSES = {
    "00": "approved",
    "01": "refer to card issuer",
    "02": "refer to card issuer, special condition",
    "03": "invalid merchant",
    "04": "pick up card",
    "05": "do not honour",
    "06": "error",
    "07": "pick up card, special condition",
    "08": "honour with identification",
    "09": "request in progress",
    "10": "approved for a part",
    "11": "approved, VIP",
    "12": "invalid transaction",
    "13": "invalid amount",
    "14": "invalid card number",
    "15": "no such issuer",
    "17": "cancelled by customer",
    "19": "re-enter transaction",
    "20": "invalid response",
    "21": "no action taken",
    "22": "suspected malfunction",
    "25": "record not found",
    "28": "file unavailable",
    "30": "format error",
    "31": "bank not supported",
    "33": "expired card, pick up",
    "34": "suspected fraud, pick up",
    "35": "contact acquirer, pick up",
    "36": "restricted card, pick up",
    "37": "call acquirer's security, pick up",
    "38": "too many PIN tries, pick up",
    "39": "no credit account",
    "40": "function not supported",
    "41": "lost card",
    "42": "no universal account",
    "43": "stolen card",
    "44": "no investment account",
    "51": "insufficient funds",
    "52": "no checking account",
    "53": "no savings account",
    "54": "expired card",
    "55": "incorrect PIN",
    "56": "no card record",
    "57": "not permitted to cardholder",
    "58": "not permitted to terminal",
    "59": "suspected fraud",
    "60": "contact acquirer",
    "61": "amount limit exceeded",
    "62": "restricted card",
    "63": "security violation",
    "64": "wrong original amount",
    "65": "frequency limit exceeded",
    "66": "call acquirer's security",
    "67": "hard capture",
    "68": "response too late",
    "75": "too many PIN tries",
    "90": "cut-off in process",
    "91": "issuer unavailable",
    "92": "no route to issuer",
    "93": "violation of law",
    "94": "duplicate transmission",
    "95": "reconciliation error",
    "96": "system malfunction",
}
"""The meaning of each response code."""


def meaning(code: str | None) -> str | None:
    """Returns what a code means; None if it is not one of ISO 8583, or absent."""
    return None if code is None else RESPONSES.get(code)
