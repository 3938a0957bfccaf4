-- A small shop for first queries: 40 customers, 24 products, 360 orders over a year, about 650 order items.
-- Every row is computed, so each build makes the same database.

PRAGMA foreign_keys = ON;
BEGIN;

CREATE TABLE customers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  email TEXT NOT NULL UNIQUE,
  city TEXT NOT NULL,
  country TEXT NOT NULL,
  joined_on DATE NOT NULL
);

CREATE TABLE products (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  category TEXT NOT NULL,
  unit_price DECIMAL(10, 2) NOT NULL CHECK (unit_price > 0)
);

CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  ordered_on DATE NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('paid', 'shipped', 'delivered', 'returned'))
);

CREATE TABLE order_items (
  order_id INTEGER NOT NULL REFERENCES orders (id),
  product_id INTEGER NOT NULL REFERENCES products (id),
  quantity INTEGER NOT NULL CHECK (quantity > 0),
  unit_price DECIMAL(10, 2) NOT NULL,
  PRIMARY KEY (order_id, product_id)
);

WITH RECURSIVE
  n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39),
  first_names (k, first_name) AS (VALUES
    (0, 'Ada'), (1, 'Bruno'), (2, 'Chiara'), (3, 'Dimitri'), (4, 'Elif'), (5, 'Farid'), (6, 'Greta'), (7, 'Hugo'),
    (8, 'Ines'), (9, 'Jonas')),
  last_names (k, last_name) AS (VALUES (0, 'Larsen'), (1, 'Moreau'), (2, 'Nowak'), (3, 'Okafor')),
  cities (k, city, country) AS (VALUES
    (0, 'Berlin', 'Germany'), (1, 'Lyon', 'France'), (2, 'Porto', 'Portugal'), (3, 'Gdansk', 'Poland'),
    (4, 'Utrecht', 'Netherlands'), (5, 'Graz', 'Austria'), (6, 'Ghent', 'Belgium'))
INSERT INTO customers
SELECT
  i + 1,
  first_name || ' ' || last_name,
  lower(first_name || '.' || last_name || '@example.com'),
  city,
  country,
  date('2023-01-01', '+' || (i * 17 % 700) || ' days')
FROM n
  JOIN first_names ON first_names.k = i % 10
  JOIN last_names ON last_names.k = i / 10
  JOIN cities ON cities.k = i * 3 % 7;

INSERT INTO products (id, name, category, unit_price) VALUES
  (1, 'Espresso cup', 'Kitchen', 7.50), (2, 'Chef''s knife', 'Kitchen', 64.00), (3, 'Cast iron pan', 'Kitchen', 49.90),
  (4, 'Bread tin', 'Kitchen', 18.20), (5, 'Teapot', 'Kitchen', 32.00), (6, 'Apron', 'Kitchen', 24.50),
  (7, 'Desk lamp', 'Office', 39.00), (8, 'Notebook', 'Office', 6.80), (9, 'Fountain pen', 'Office', 28.00),
  (10, 'Monitor stand', 'Office', 54.90), (11, 'Paper tray', 'Office', 14.30), (12, 'Wall calendar', 'Office', 12.00),
  (13, 'Watering can', 'Garden', 21.40), (14, 'Pruning shears', 'Garden', 33.70), (15, 'Seed box', 'Garden', 16.00),
  (16, 'Bird feeder', 'Garden', 27.90), (17, 'Garden gloves', 'Garden', 9.90), (18, 'Rain gauge', 'Garden', 11.50),
  (19, 'Wool blanket', 'Living', 89.00), (20, 'Candle', 'Living', 8.20), (21, 'Picture frame', 'Living', 19.90),
  (22, 'Cushion', 'Living', 29.50), (23, 'Vase', 'Living', 36.00), (24, 'Doormat', 'Living', 22.80);

WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 359)
INSERT INTO orders
SELECT
  i + 1,
  -- Some customers buy often and a few never do.
  (i * 31 + i * i / 7) % 47 % 37 + 1,
  date('2025-01-01', '+' || (i * 365 / 360) || ' days'),
  CASE
    WHEN i >= 350 THEN 'paid'
    WHEN i >= 340 THEN 'shipped'
    WHEN i % 23 = 5 THEN 'returned'
    ELSE 'delivered'
  END
FROM n;

WITH RECURSIVE k (j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM k WHERE j < 3)
INSERT INTO order_items
SELECT orders.id, products.id, (orders.id * 5 + j * 3) % 4 + 1, products.unit_price
FROM orders
  JOIN k ON j <= (orders.id * 7) % 4 % 3 + (orders.id % 11 = 0)
  JOIN products ON products.id = (orders.id * 13 + j * 7) % 24 + 1;

CREATE INDEX orders_by_customer ON orders (customer_id);

COMMIT;
