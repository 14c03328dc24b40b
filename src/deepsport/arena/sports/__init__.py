"""The sports of the arena, by name."""

from deepsport.arena.sport import Sport
from deepsport.arena.sports.american_football import AMERICAN_FOOTBALL
from deepsport.arena.sports.badminton import BADMINTON
from deepsport.arena.sports.baseball import BASEBALL
from deepsport.arena.sports.basketball import BASKETBALL
from deepsport.arena.sports.diving import DIVING
from deepsport.arena.sports.fencing import FENCING
from deepsport.arena.sports.figure_skating import FIGURE_SKATING
from deepsport.arena.sports.gymnastics import GYMNASTICS
from deepsport.arena.sports.ice_hockey import ICE_HOCKEY
from deepsport.arena.sports.soccer import SOCCER
from deepsport.arena.sports.table_tennis import TABLE_TENNIS
from deepsport.arena.sports.tennis import TENNIS
from deepsport.arena.sports.volleyball import VOLLEYBALL

SPORTS: dict[str, Sport] = {
    sport.name: sport
    for sport in (
        SOCCER,
        BASKETBALL,
        TENNIS,
        DIVING,
        VOLLEYBALL,
        TABLE_TENNIS,
        BADMINTON,
        FENCING,
        FIGURE_SKATING,
        GYMNASTICS,
        AMERICAN_FOOTBALL,
        BASEBALL,
        ICE_HOCKEY,
    )
}

UNSEEN = ("fencing",)
"""Kept out of training sets, to measure what carries over to a sport never seen."""

TRAINED = tuple(name for name in SPORTS if name not in UNSEEN)
