import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { isBeforeOsaka, SidecarForms } from "../../src/l1/sidecar_form.ts";

test("SidecarForms leans to cells, believes a node that has no Osaka, and tries the other form only by itself", async () => {
  const before = { current: { precompiles: { ECREC: "0x1" } } };
  const after = { current: { precompiles: { P256VERIFY: "0x100" } } };
  equal(isBeforeOsaka(before), true);
  for (const answer of [after, undefined, null, {}, { current: null }, "x"]) {
    equal(isBeforeOsaka(answer), false);
  }
  equal(await new SidecarForms("auto").first(), "cells");
  equal(await new SidecarForms("auto", () => Promise.resolve(before)).first(), "legacy");
  equal(await new SidecarForms("auto", () => Promise.reject(new Error("no"))).first(), "cells");
  equal(new SidecarForms("cells").other("cells"), undefined);
  const forms = new SidecarForms("auto");
  equal(forms.other("cells"), "legacy");
  forms.accepted("legacy");
  equal(await forms.first(), "legacy");
});
