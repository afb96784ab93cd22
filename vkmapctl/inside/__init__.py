"""What lives in the process that holds the driver: how it begins and ends, its calls, its devices, the live proof.

Imports the standard library, the binding, and of this program what does so too (errors, rules, machine.addresses): it
is loaded while the driver loads, and a probe waits for it. What measures and checks there: worker/, checks/.
"""
