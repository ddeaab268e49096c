"""Rules of going on with a VQ-VAE's codes: they stay, the decoder learns, and a patch discriminator asks it for relief."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scene_examples import SMALL, dataset, prior_trainer, trainer, world
from torch import Tensor

from export import checkpoint
from export.scene import data
from export.scene.code_windows import fingerprint
from export.scene.config import TrainConfig
from export.scene.critic import Critic, PatchDiscriminator
from export.scene.train import KIND, train
from export.scene.train_prior import KIND as PRIOR_KIND
from export.scene.trained import load_checkpoint, open_vqvae


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run folder of a small VQ-VAE; the built-in worlds are small ones."""
    sets = {"train": dataset([world(0), world(1)]), "held-out": dataset([world(2)], "held-out")}
    monkeypatch.setattr(data, "load", lambda *_, split, **__: sets[split])
    return train(config(tmp_path, run="begun", ktiles=0.1)).parent


def config(folder: Path, **options: object) -> TrainConfig:
    return TrainConfig(**{"runs": folder, "batch": 4, "log_every": 1, "model": SMALL} | options)


def sharpening(folder: Path, begun: Path, **options: object) -> TrainConfig:
    wanted = {"run": "sharp", "start_from": str(begun), "adversarial_weight": 0.5, "head_start_ktiles": 0.008, "ktiles": 0.04}
    return config(folder, **wanted | options)


def weights(path: Path, key: str = "model") -> dict[str, Tensor]:
    return checkpoint.load(path, KIND)[key]


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_codes_stay_and_the_decoder_learns(tmp_path: Path, begun: Path, weight: float) -> None:
    after = weights(train(sharpening(tmp_path, begun, adversarial_weight=weight)))
    for name, before in weights(begun / "checkpoint.pt").items():
        learnt = name.startswith(("decoder.", "heads.")) and not name.endswith(("middle", "scale"))
        assert torch.equal(after[name], before) is not learnt, name
    model, other = (open_vqvae(str(tmp_path / "scene" / run))[0] for run in ("begun", "sharp"))
    assert fingerprint(model) == fingerprint(other)


def test_the_runs_before_are_recorded(tmp_path: Path, begun: Path) -> None:
    state = checkpoint.load(train(sharpening(tmp_path, begun)), KIND)
    assert [(stage["config"]["run"], stage["tiles_seen"]) for stage in state["earlier"]] == [("begun", 100)]
    assert state["datasheet"]["source"] == "waves"


def test_a_sharpening_in_sessions_is_the_one_in_one_go(tmp_path: Path, begun: Path) -> None:
    whole = checkpoint.load(train(sharpening(tmp_path, begun)), KIND)
    for stop in (0.02, 0.04):
        path = train(sharpening(tmp_path, begun, run="parts", ktiles=stop, resume=stop != 0.02))
    parts = checkpoint.load(path, KIND)
    for key in ("drawing", "model"):
        for name, weight in whole[key].items():
            assert torch.equal(weight, parts[key][name]), (key, name)
    for name, weight in whole["critic"]["network"].items():
        assert torch.equal(weight, parts["critic"]["network"][name]), name


def test_only_the_critic_learns_during_its_head_start(tmp_path: Path, begun: Path) -> None:
    path = train(sharpening(tmp_path, begun, ktiles=0.02, head_start_ktiles=0.02))
    before, after = weights(begun / "checkpoint.pt"), weights(path)
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    fresh = Critic(4e-4, 0.1, 1).network.state_dict()
    assert not torch.equal(checkpoint.load(path, KIND)["critic"]["network"]["layers.0.weight"], fresh["layers.0.weight"])


def test_a_prior_goes_on_over_a_sharpened_decoder(tmp_path: Path) -> None:
    below = trainer(tmp_path)
    below.train_step()
    made = prior_trainer(tmp_path, below)
    made.train_step()
    state = made.state()
    with torch.no_grad():
        below.model.heads.height.bias += 1.0
    again = prior_trainer(tmp_path, below)
    again.restore(state)
    path = tmp_path / "again.pt"
    checkpoint.save(path, PRIOR_KIND, again.state())
    assert torch.equal(load_checkpoint(path).vqvae.heads.height.bias, below.model.heads.height.bias)
    with torch.no_grad():
        below.model.encoder.to_code.bias += 1.0
    with pytest.raises(ValueError, match="codes of another VQ-VAE"):
        prior_trainer(tmp_path, below).restore(state)


def test_a_critic_learns_to_tell_rough_from_smooth_and_asks_for_roughness() -> None:
    torch.manual_seed(0)
    critic, ground = Critic(2e-3, 0.1, 1), torch.zeros(8, 64, 64, dtype=torch.int64)
    for step in range(40):
        found = critic.train_step(torch.randn(8, 65, 65), torch.zeros(8, 65, 65), ground, step)
    assert found["critic/real"] > found["critic/redrawn"] + 0.5
    roughness = torch.tensor(0.3, requires_grad=True)
    redrawn = roughness * torch.randn(8, 65, 65)
    error = redrawn.square().mean()
    opinion = critic.opinion(redrawn, ground, roughness, error)
    (towards,) = torch.autograd.grad(opinion, roughness, retain_graph=True)
    (back,) = torch.autograd.grad(error, roughness)
    assert towards < 0 < back
    assert abs(towards.item()) == pytest.approx(abs(back.item()), rel=1e-2)


def test_a_patchs_verdict_hangs_on_its_surroundings_alone() -> None:
    network = PatchDiscriminator()
    height, ground = torch.randn(1, 65, 65), torch.zeros(1, 64, 64, dtype=torch.int64)
    verdict = network(height, ground)
    assert verdict.shape == (1, 1, 16, 16)
    height[:, 40:, 40:] += torch.randn(25, 25)
    changed = (network(height, ground) - verdict).abs()[0, 0] > 1e-7
    assert not changed[:7, :7].any()
    assert changed[12:, 12:].any()


def test_what_it_cannot_start_from_is_refused(tmp_path: Path, begun: Path) -> None:
    with pytest.raises(ValueError, match="give --start-from with its run folder"):
        config(tmp_path, adversarial_weight=0.5)
    with pytest.raises(checkpoint.CheckpointError, match="no checkpoint at"):
        train(sharpening(tmp_path, tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"another shape: fine is 16 here, 8 there; give the same --model options"):
        train(sharpening(tmp_path, begun, model=type(SMALL)(**vars(SMALL) | {"fine": 16})))
