#!/bin/sh
# Draws docs/architecture.svg anew, from src/lib.rs and from what the rooms import. The test that it is up to date draws it.
set -eu
cd "$(dirname "$0")/.."
IMGDUEL_WRITE_PICTURE=1 exec cargo test --locked --quiet --test suite -- picture::the_picture_of_the_rooms_is_up_to_date
