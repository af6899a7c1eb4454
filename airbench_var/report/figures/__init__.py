"""Pictures of runs, for studies and for the HTML report; matplotlib is loaded when one is drawn."""
