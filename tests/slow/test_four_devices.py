"""Four jobs of the workflow on four devices, which this machine only claims to have."""

import fake_gpus


def test_four_jobs_of_the_workflow_work_at_once_on_four_devices(on_four_devices):
    """`--resources gpu=4`, as a user says it."""
    held = fake_gpus.spans(on_four_devices)
    assert len(held) == len(fake_gpus.notes(on_four_devices)) == len(on_four_devices.outputs("attack")) > 4
    assert {device for device, *_ in held} == {f"None {i}" for i in range(4)}
    assert fake_gpus.overlapping(held) == [] and fake_gpus.at_once(held) == 4
