"""How a picture looks: cards, a circuit or an overview."""
