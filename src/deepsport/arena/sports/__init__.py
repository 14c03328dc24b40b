"""The sports of the arena, by name."""

from deepsport.arena.sport import Sport
from deepsport.arena.sports.basketball import BASKETBALL
from deepsport.arena.sports.soccer import SOCCER

SPORTS: dict[str, Sport] = {sport.name: sport for sport in (SOCCER, BASKETBALL)}
