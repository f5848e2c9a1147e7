"""Every system has its proof, every fast proof passes, and no proof survives its mutations."""

import pytest

from sozai.generators.catalog import recipes
from sozai.generators.proofs.catalog import checks, checks_of

FAST = [check for check in checks() if check.fast]


def test_every_system_has_a_proof_and_every_proof_a_mutation():
    assert [name for name in recipes() if not checks_of(name)] == []
    assert [check.name for check in checks() if not check.broken_by] == []
    assert [check.name for check in checks() if not check.function.__doc__] == []
    assert {name for check in checks() for name in check.systems} <= set(recipes())


def test_every_named_system_is_there():
    named = """gan cgan dcgan wgan wgan-gp cyclegan tablegan tgan ctgan
        vae beta-vae beta-tcvae factor-vae joint-vae vae-gan vlae vlae-ladder nvae vq-vae vq-vae-2
        ddpm improved-ddpm ddim analytic-dpm dp ddss genie d3pm vdm scoreflow lsgm flow-matching
        nice realnvp glow cnf ffjord spline-flow
        transformer gpt gpt-2 reward-model dpo grpo ppo"""
    assert set(named.split()) <= set(recipes())


@pytest.mark.parametrize("check", FAST, ids=lambda check: check.name)
def test_proof(check):
    findings = check.run()
    assert findings
    assert [f"{f.what}: expected {f.expected}, got {f.got}" for f in findings if not f.passed] == []


@pytest.mark.parametrize(
    ("check", "mutation"),
    [(check, mutation) for check in FAST for mutation in check.broken_by],
    ids=lambda each: getattr(each, "name", None) or each.what.replace(" ", "-"),
)
def test_proof_notices(check, mutation):
    assert not check.survives(mutation)
