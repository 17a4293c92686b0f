"""Losses: pure functions of one value per example, and lists of weighted terms.

To add a loss: write a module here with a function of `GeneratorLossInputs` or
`DiscriminatorLossInputs` (see `terms`), add one line to a list in `registry`, and give
its weight a setting.
"""
