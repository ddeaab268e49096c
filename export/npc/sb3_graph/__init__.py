"""Policies of Stable-Baselines3 and sb3-contrib as one graph each: raw observations in, engine-ready actions out.

`archive` opens a `policy.zip` without running its code, `normalizer` a `vecnormalize.pkl`; `inputs` turns raw observations into
what the policy was trained on; `heads` turns the policy's numbers and noise into actions; `graph` joins them; `reference` asks
Stable-Baselines3 itself, and `gate` compares the two.
"""
