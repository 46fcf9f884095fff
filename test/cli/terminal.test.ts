// Layout for terminals: widths, colour rules, harmlessness of text from outside.
import { describe, expect, it } from "vitest";
import { cut, padded, printable, tableLines, visibleLength, wantsColour, wrapped } from "../../src/cli/terminal.js";
import { span } from "../../src/cli/transactions/span.js";
import { recorder } from "./recorder.js";

describe("the terminal", () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { NO_COLOR: "" }, true],
    [true, { NO_COLOR: "1", FORCE_COLOR: "1" }, false],
    [false, { FORCE_COLOR: "1" }, true],
    [true, { FORCE_COLOR: "0" }, false],
    [true, { TERM: "dumb" }, false],
  ])("gives colour to a terminal %s with %o: %s", (isTty, environment, expected) => {
    expect(wantsColour(isTty, environment)).toBe(expected);
  });

  it("measures what is seen", () => {
    expect(visibleLength("\x1b[31m→ä\x1b[39m")).toBe(2);
    expect(padded("\x1b[31mab\x1b[39m", 4)).toBe("\x1b[31mab\x1b[39m  ");
    expect(cut("abcdef", 4)).toBe("abc…");
    expect(cut("abcd", 4)).toBe("abcd");
  });

  it("breaks text at blanks, and words only when they are too long", () => {
    expect(wrapped("aa bb cc", 5)).toEqual(["aa bb", "cc"]);
    expect(wrapped("aaaaaaa b", 3)).toEqual(["aaa", "aaa", "a b"]);
    expect(wrapped("", 3)).toEqual([""]);
  });

  it("shows control characters from outside as pictures, so that a gid cannot move the cursor", () => {
    expect(printable("a\x1b[2Jb\r\n\x9b")).toBe("a␛[2Jb␍␊␡");
  });

  it("keeps a table inside the width by cutting its last column", () => {
    const { terminal } = recorder({ columns: 60 });
    const lines = tableLines(["gid", "reason"], [["g", "x".repeat(200)]], terminal);
    expect(lines.map((line) => line.length)).toEqual([11, 60]);
    const wrapping = tableLines(["gid", "reason"], [["g", "word ".repeat(20).trim()]], terminal, "wrap");
    expect(wrapping.join(" ").match(/word/g)).toHaveLength(20);
    expect(Math.max(...wrapping.map((line) => line.length))).toBeLessThanOrEqual(60);
    expect(wrapping[2]).toMatch(/^ {5}word/);
  });

  it.each([
    [-5, "0 ms"],
    [420, "420 ms"],
    [1500, "2 s"],
    [119_000, "119 s"],
    [150_000, "3 min"],
    [7_200_000, "2 h"],
    [3 * 86_400_000, "3 d"],
  ])("calls %d ms '%s'", (ms, expected) => {
    expect(span(ms)).toBe(expected);
  });
});
