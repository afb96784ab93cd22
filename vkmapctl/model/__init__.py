"""The plain frozen data that passes between the rooms, and is saved. No work is done here."""
