"""Two companies that sell, and who owes them. All are invented: no register has their numbers, no host their mail."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Company:
    """A seller: the creditor of the demo."""

    slug: str
    name: str
    siren: str
    street: str
    postcode: str
    city: str
    email: str
    phone: str
    iban: str
    activity: str
    colour: tuple[float, float, float]
    capital: str

    @property
    def siret(self) -> str:
        """The SIRET of its head office."""
        return siret_of(self.siren)

    @property
    def vat(self) -> str:
        """Its VAT number."""
        return vat_of(self.siren)


@dataclass(frozen=True)
class Buyer:
    """A customer of a company: a debtor of the demo."""

    code: str
    name: str
    siren: str
    street: str
    postcode: str
    city: str
    country: str
    contact: str
    email: str  # "" for who has none on file
    phone: str
    terms: str  # net30, net45, net60 or eom30 (30 days, then the end of that month)

    @property
    def vat(self) -> str:
        """Its VAT number, where it is French."""
        return vat_of(self.siren) if self.country == "FR" else ""


def luhn(digits: str) -> str:
    """The digits with the check digit that SIREN and SIRET end on."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def siren_of(number: int) -> str:
    """A SIREN of a range that is not given out."""
    return luhn(f"9999{number:04}")


def siret_of(siren: str) -> str:
    """The SIRET of a first establishment."""
    return luhn(f"{siren}0001")


def vat_of(siren: str) -> str:
    """The French VAT number that goes with a SIREN."""
    return f"FR{(12 + 3 * (int(siren) % 97)) % 97:02}{siren}"


def french_iban(account: str) -> str:
    """An IBAN with right check digits at a bank that does not exist."""
    bban = f"9999900001{account}"
    bban += f"{97 - (89 * 99999 + 15 * 1 + 3 * int(account)) % 97:02}"
    return f"FR{98 - int(bban + '152700') % 97:02}{bban}"


ATELIER = Company(
    slug="atelier-belleville",
    name="Atelier Belleville SARL",
    siren=siren_of(101),
    street="12 rue de Belleville",
    postcode="75020",
    city="Paris",
    email="compta@atelier-belleville.example",
    phone="01 99 00 12 34",
    iban=french_iban("00012345678"),
    activity="Agencement, enseignes et mobilier sur mesure",
    colour=(0.13, 0.29, 0.47),
    capital="20 000 €",
)
MENUISERIE = Company(
    slug="menuiserie-roux",
    name="Menuiserie Roux SAS",
    siren=siren_of(202),
    street="8 chemin des Tilleuls",
    postcode="69005",
    city="Lyon",
    email="facturation@menuiserie-roux.example",
    phone="04 65 71 22 18",
    iban=french_iban("00087654321"),
    activity="Menuiserie bois, escaliers et fermetures",
    colour=(0.45, 0.25, 0.11),
    capital="50 000 €",
)
# Who sells to them: its invoices are not theirs to collect.
SUPPLIER = Company(
    slug="quincaillerie-lambert",
    name="Quincaillerie Lambert SA",
    siren=siren_of(303),
    street="45 avenue de l'Industrie",
    postcode="93200",
    city="Saint-Denis",
    email="ventes@quincaillerie-lambert.example",
    phone="01 99 00 77 10",
    iban=french_iban("00055544433"),
    activity="Quincaillerie professionnelle",
    colour=(0.35, 0.35, 0.38),
    capital="300 000 €",
)

_ATELIER_BUYERS = """
Boulangerie Marchal|3 rue du Four|75011|Paris|Hélène Marchal|net30
Restaurant Le Zinc d'Ourcq|91 quai de la Loire|75019|Paris|Karim Belkacem|net30
Librairie des Buttes|27 rue Botzaris|75019|Paris|Anne Delcourt|net45
Hôtel du Canal SAS|140 quai de Jemmapes|75010|Paris|Paul Vasseur|net60
Pharmacie Centrale des Lilas|2 place Charles-de-Gaulle|93260|Les Lilas|Mireille Aubin|net30
Coiffure Studio 20|58 rue des Pyrénées|75020|Paris|Sonia Ferreira|net30
Fromagerie Aux Alpages|14 rue de Bretagne|75003|Paris|Thomas Perrin|eom30
Cave à vins Bacchus & Fils|77 rue Oberkampf|75011|Paris|Julien Bacquet|net30
Cabinet dentaire Morel-Lavigne|31 boulevard Voltaire|75011|Paris|Dr Claire Morel|net45
Brasserie de la Mairie|1 place Gambetta|75020|Paris|Didier Roussel|net30
Agence Immo Ménilmontant|112 rue de Ménilmontant|75020|Paris|Nadia Cherif|net30
Optique Vision Nation|9 place de la Nation|75012|Paris|Éric Samson|net60
Théâtre du Passage|5 passage Piver|75011|Paris|Marion Leclerc|eom30
Galerie Trait d'Union|18 rue Debelleyme|75003|Paris|Yann Le Goff|net30
École de danse Entrechats|66 rue de Crimée|75019|Paris|Isabelle Nguyen|net30
Garage Ferrand et Associés|203 avenue Jean-Jaurès|93500|Pantin|Michel Ferrand|net45
Traiteur Saveurs du Maghreb|40 rue Jean-Pierre Timbaud|75011|Paris|Leïla Haddad|net30
Crèche Les Petits Pas|22 rue de l'Ermitage|75020|Paris|Sophie Garnier|net30
Studio Yoga Lumière|35 rue de Charonne|75011|Paris|Camille Fournier|net30
Épicerie Fine Delmas|11 rue des Martyrs|75009|Paris|Pierre Delmas|net45
Fleuriste Au Nom de la Rose Thé|84 rue de Belleville|75020|Paris|Rose Thévenet|net30
Cinéma L'Étoile des Lilas|Place du Maquis-du-Vercors|93260|Les Lilas|Bruno Castel|net60
Boutique Fil & Lin|7 rue Keller|75011|Paris|Emma Royer|net30
Laboratoire Biolab Est|150 rue de Bagnolet|75020|Paris|Service comptable|eom30
Bar à jus Vitamine|29 rue de la Roquette|75011|Paris|Lucas Petit|net30
Auto-école du Père-Lachaise|16 boulevard de Charonne|75020|Paris|Véronique Blot|net30
Cordonnerie Dufour|53 rue de Ménilmontant|75020|Paris|Alain Dufour|net30
Résidence Senior Les Acacias|10 rue Haxo|75020|Paris|Service comptable|net60
Pâtisserie Sucre d'Orge|4 rue Saint-Blaise|75020|Paris|Manon Lacroix|net30
Musée de l'Imprimerie populaire|37 rue Pelleport|75020|Paris|François Tessier|net60
Salon de thé Camélia|8 rue Sainte-Marthe|75010|Paris|Mei Lin Zhao|net30
Vétérinaire Clinique des Vignoles|71 rue des Vignoles|75020|Paris|Dr Hugo Renard|net45
Coworking La Ruche|120 rue d'Avron|75020|Paris|Inès Moreau|net30
Imprimerie Graphic Est|15 rue du Commandant-Lamy|93100|Montreuil|Patrick Simon|eom30
Bijouterie Or et Lune|44 rue de Turenne|75003|Paris|Judith Benhamou|net30
Poissonnerie L'Armor|19 rue Daguerre|75014|Paris|Ronan Kervella|net30
Salle d'escalade Bloc 93|60 rue de Paris|93100|Montreuil|Antoine Dubreuil|net45
Chocolaterie Dubois Bruxelles|25 rue Haute|1000|Bruxelles|Pieter Dubois|net30|BE
Restaurant Chez Aminata|6 rue Myrha|75018|Paris||net30||nomail
Kiosque de la Dhuys|2 rue de la Dhuys|75020|Paris||net30||nomail
"""
_MENUISERIE_BUYERS = """
Constructions Rhodaniennes SA|210 cours Lafayette|69003|Lyon|Service fournisseurs|net60
Architectes Blanc & Vidal|17 rue Mercière|69002|Lyon|Claire Vidal|net30
Syndic Part-Dieu Gestion|88 rue Garibaldi|69006|Lyon|Marc Olivier|net45
Hôtel des Terreaux|16 rue d'Algérie|69001|Lyon|Nathalie Guyot|net30
Promotion Confluence SAS|5 quai Perrache|69002|Lyon|Comptabilité|net60
Lycée privé Sainte-Blandine|30 montée Saint-Barthélemy|69005|Lyon|Intendance|net30
Restaurant La Quenelle d'Or|9 rue Saint-Jean|69005|Lyon|Joël Berthet|net30
Clinique du Parc Tête-d'Or|155 boulevard Stalingrad|69006|Lyon|Service achats|eom30
SCI Les Balmes|3 montée du Gourguillon|69005|Lyon|Odile Faure|net30
Rénov'Habitat Croix-Rousse|71 grande rue de la Croix-Rousse|69004|Lyon|Samir Bouzid|net45
Entreprise Générale Mercier|12 rue Challemel-Lacour|69007|Lyon|Service fournisseurs|net60
Domaine des Pierres Dorées|Route du Beaujolais|69480|Anse|Benoît Charvet|net30
Théâtre des Pentes|42 montée de la Grande-Côte|69001|Lyon|Zoé Marin|net30
Librairie Passages du Rhône|11 rue de Brest|69002|Lyon|Agnès Colin|net30
Mairie annexe de Craponne-Est|1 place Andrée-Marie-Perrin|69290|Craponne|Service financier|net30
Boulangerie du Gros Caillou|8 boulevard de la Croix-Rousse|69004|Lyon|David Pons|net30
Cabinet notarial Reynaud|25 place Bellecour|69002|Lyon|Me Reynaud|net30
Gîtes du Pilat|Le Bourg|42520|Véranne|Catherine Mounier|net30
Copropriété Les Platanes|54 avenue Berthelot|69007|Lyon|Syndic Part-Dieu|net45
Piscines Azur 69|Zone des Andrés|69126|Brindas|Kevin Laurent|net30
Chalets du Vercors SARL|Avenue du Général-de-Gaulle|38250|Villard-de-Lans|Gilles Rey|net45
Genève Intérieurs Sàrl|18 rue du Rhône|1204|Genève|Laure Favre|net30|CH
Atelier Photo Presqu'île|6 rue Childebert|69002|Lyon|Nicolas Weber|net30
Ferme équestre des Monts d'Or|Chemin de la Glande|69760|Limonest||net30||nomail
"""


def buyers_of(company: Company) -> list[Buyer]:
    """Who owes a company, in the order of the list."""
    text, first = (_ATELIER_BUYERS, 1000) if company is ATELIER else (_MENUISERIE_BUYERS, 3000)
    return [_buyer(line, first + 10 * place, place) for place, line in enumerate(text.strip().splitlines(), 1)]


def _buyer(line: str, number: int, place: int) -> Buyer:
    name, street, postcode, city, contact, terms, *more = line.split("|")
    country = more[0] if more and more[0] else "FR"
    no_mail = len(more) > 1 and more[1] == "nomail"
    host = _host(name)
    return Buyer(
        code=f"411{host.replace('-', '').upper()[:5]}{place:02}",
        name=name,
        siren=siren_of(number),
        street=street,
        postcode=postcode,
        city=city,
        country=country,
        contact=contact,
        email="" if no_mail else f"compta@{host}.example",
        phone=f"01 99 00 {number // 100:02} {number % 100:02}",
        terms=terms,
    )


_PLAIN = str.maketrans("àâäéèêëîïôöùûüçÉÈÀ", "aaaeeeeiioouuucEEA")


def _host(name: str) -> str:
    """A host under .example, which no mail ever leaves for."""
    plain = "".join(c if c.isalnum() else " " for c in name.translate(_PLAIN).lower())
    return "-".join(word for word in plain.split() if len(word) > 2)[:40].strip("-")
